"""Whether a checkpoint still draws what was judged: the judged test picture beside the same picture drawn again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deployment.models import Verification
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab.pixels.colour import ciede2000, to_lab
from runs.models import Checkpoint

# On another device sums are rounded otherwise and single cells tip over; more than that is another picture.
TOLERATED_SHARE = 0.05  # of the 576 cells
TOLERATED_DIFFERENCE = 10.0  # CIEDE2000, above which a cell counts as changed


class MissingPictureError(Exception):
    """The judged picture's file is not where its row says."""


def judged_render(checkpoint: Checkpoint) -> TestRender | None:
    """The test picture that a verification repeats: the first of the suite; None while none is rendered."""
    return (
        TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED)
        .select_related("checkpoint__run", "test_prompt")
        .order_by("priority", "pk")
        .first()
    )


def latest(render: TestRender) -> Verification | None:
    """The last verification that was asked for; None when there was none."""
    return Verification.objects.filter(test_render=render).first()


def sha256_of(path: Path | None) -> str:
    """SHA-256 of a picture's file. Raises MissingPictureError when it cannot be read."""
    try:
        if path is not None:
            return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MissingPictureError(f"The judged picture {path} cannot be read: {error.strerror}.") from error
    raise MissingPictureError("The judged picture's row names no file.")


def judge(verification: Verification) -> bool:
    """Compare the picture with the judged one, write whether they match and why not; return whether they match."""
    judged = verification.test_render
    matches, message = _compare(verification, judged)
    Verification.objects.filter(pk=verification.pk, matches=None).update(matches=matches, message=message)
    return matches


def _compare(verification: Verification, judged: TestRender) -> tuple[bool, str]:
    try:
        if sha256_of(verification.finished_path) == verification.expected_sha256:
            return True, "The same bytes."
        if _drawn_alike(verification, judged):
            return False, f"Drawn again on {judged.device}, the picture has other bytes."
        changed = _changed_share(verification.finished_path, judged.finished_path)
    except MissingPictureError as error:
        return False, str(error)
    told = f"{changed:.1%} of the cells differ; judged on {judged.device or 'another device'}"
    if changed > TOLERATED_SHARE:
        return False, f"{told}, drawn again on {verification.device}, at most {TOLERATED_SHARE:.0%} may."
    return True, f"{told}, drawn again on {verification.device}, up to {TOLERATED_SHARE:.0%} may."


def _drawn_alike(verification: Verification, judged: TestRender) -> bool:
    """Bytes are promised per device and batch class."""
    return (verification.device, verification.request.get("batch_class")) == (
        judged.device,
        judged.request.get("batch_class"),
    )


def _changed_share(first: Path | None, second: Path | None) -> float:
    one, other = _cells(first), _cells(second)
    if one.shape != other.shape:
        return 1.0
    return float((ciede2000(to_lab(one), to_lab(other)) > TOLERATED_DIFFERENCE).mean())


def _cells(path: Path | None) -> NDArray[np.uint8]:
    if path is None:
        raise MissingPictureError("The picture's row names no file.")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise MissingPictureError(f"The picture {path} cannot be read: {error}.") from error
