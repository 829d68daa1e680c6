"""What two checkpoints have drawn of the same prompts and seeds, so that it can be compared blind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from evaluation.blind_models import BlindTest, Pair
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab.files import sha256_of
from runs.models import Checkpoint

Key = tuple[int, int]  # test prompt and seed


@dataclass(frozen=True)
class Found:
    """Two pictures of one prompt and seed, with the SHA-256 of each."""

    render_a: TestRender
    render_b: TestRender
    sha256_a: str
    sha256_b: str


@dataclass(frozen=True, kw_only=True)
class Common:
    """`pairs` differ and are compared nowhere yet, `identical` have the same bytes, `missing` says which files are gone,
    `compared` are in a test already."""

    pairs: Sequence[Found]
    identical: int
    missing: Sequence[str]
    compared: int

    def why_none(self, checkpoint_a: Checkpoint, checkpoint_b: Checkpoint) -> str:
        """Why there is no pair to compare, and what to do."""
        both = f"{checkpoint_a} and {checkpoint_b}"
        if self.missing:
            return f"Nothing can be compared. {self.missing[0]}"
        if self.compared:
            return (
                f"All that {both} have drawn alike is compared in a test already: vote there, or draw further seeds of "
                "both (“Compare blind” on an epoch's page)."
            )
        if self.identical:
            return f"All {self.identical} pictures that {both} have drawn alike are the same, byte for byte."
        return (
            f"{both} have drawn no prompt with the same seed: queue tests for both (“Queue tests” on their pages, or "
            "`manage.py test_epoch`)."
        )


def common(checkpoint_a: Checkpoint, checkpoint_b: Checkpoint) -> Common:
    """What could be compared of two checkpoints, in the suite's order. Reads the files of their pictures."""
    ours, theirs = drawn_by(checkpoint_a), drawn_by(checkpoint_b)
    both = [key for key in ours if key in theirs]
    before = _compared(checkpoint_a, checkpoint_b).intersection(both)
    pairs: list[Found] = []
    missing: list[str] = []
    identical = 0
    for key in both:
        if key in before:
            continue
        one, other = ours[key], theirs[key]
        try:
            found = Found(one, other, _sha256(one), _sha256(other))
        except OSError as error:
            missing.append(f"The picture {error.filename} cannot be read: {error.strerror}.")
            continue
        if found.sha256_a == found.sha256_b:
            identical += 1
        else:
            pairs.append(found)
    return Common(pairs=pairs, identical=identical, missing=missing, compared=len(before))


def drawn_by(checkpoint: Checkpoint) -> dict[Key, TestRender]:
    """A checkpoint's finished test pictures by prompt and seed, the latest of each, in the suite's order."""
    renders = TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED).exclude(finished="")
    latest = sorted(renders.order_by("ended_at", "pk"), key=lambda render: render.priority)
    return {_key(render): render for render in latest if "seed" in render.request}


def standing(checkpoint_a: Checkpoint, checkpoint_b: Checkpoint) -> list[BlindTest]:
    """The tests of the two, either way round, that were not withdrawn; the newest first."""
    pks = (checkpoint_a.pk, checkpoint_b.pk)
    both = Q(checkpoint_a__in=pks, checkpoint_b__in=pks)
    tests = BlindTest.objects.filter(both, withdrawn_at=None)
    return list(tests.select_related("checkpoint_a__run", "checkpoint_b__run"))


def _compared(checkpoint_a: Checkpoint, checkpoint_b: Checkpoint) -> set[Key]:
    pairs = Pair.objects.filter(test__in=standing(checkpoint_a, checkpoint_b)).select_related("render_a")
    return {_key(pair.render_a) for pair in pairs}


def _key(render: TestRender) -> Key:
    return render.test_prompt_id, int(render.request["seed"])


def _sha256(render: TestRender) -> str:
    assert render.finished_path is not None
    return sha256_of(render.finished_path)
