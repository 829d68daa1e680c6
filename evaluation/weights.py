"""A LoRA at other strengths than it was trained with: the suite's prompts and seeds, drawn beside the suite.

At weight 1 it is the suite's own picture, at weight 0 the base's without a LoRA: neither is drawn a second time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from evaluation import suite, tasks
from evaluation.matrix_models import WeightRender
from evaluation.renderjob import FINAL, RenderJobQuerySet, Status
from punklab.diffusion.base import BaseError
from punklab.diffusion.request import RenderRequest
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint

USUAL = (0.0, 0.4, 0.6, 0.8, 1.0, 1.2)
HIGHEST, MOST = 2.0, 12  # of a weight; of weights asked for at once
AS_TRAINED, WITHOUT = 1.0, 0.0


class WeightError(ValueError):
    """Weights that nothing can be drawn with; the message names them."""


def parse(text: str) -> tuple[float, ...]:
    """The weights in "0, 0.4, 1.2", in order and once each. Raises WeightError."""
    words = re.split(r"[\s,;]+", text.strip())
    try:
        found = sorted({round(float(word), 2) for word in words if word})
    except ValueError as error:
        raise WeightError(f"{text!r} are no weights: write numbers, as in 0, 0.4, 1.2.") from error
    if not found:
        raise WeightError("No weight is given: write numbers, as in 0, 0.4, 1.2.")
    outside = [weight for weight in found if not 0 <= weight <= HIGHEST]
    if outside:
        raise WeightError(f"{outside[0]:g} is no weight to draw with: they go from 0 to {HIGHEST:g}.")
    if len(found) > MOST:
        raise WeightError(f"{len(found)} weights are too many at once: {MOST} at most.")
    return tuple(found)


def queue(checkpoint: Checkpoint, weights: Sequence[float], by: User | None = None) -> int:
    """Queue the pictures that are missing at these weights; return how many. Again queues nothing.

    Raises SuiteError when they cannot be drawn, PermissionDenied when `by` may not queue tests."""
    suite.refuse_stranger(by)
    n_queued = 0
    if AS_TRAINED in weights:
        n_queued += suite.queue(checkpoint, by=by, n_seeds=1)
    if WITHOUT in weights:
        n_queued += suite.queue(_base_of(checkpoint), by=by, n_seeds=1)
    return n_queued + _queue(checkpoint, _wanted(checkpoint, weights, by))


def cancel(checkpoint: Checkpoint) -> int:
    """Take the checkpoint's queued pictures at other weights off the queue; return how many."""
    return WeightRender.objects.filter(checkpoint=checkpoint, status=Status.QUEUED).update(
        status=Status.CANCELLED, ended_at=timezone.now(), message="Cancelled."
    )


def _base_of(checkpoint: Checkpoint) -> Checkpoint:
    try:
        return base_alone(base_for(checkpoint.base_model))
    except BaseError as error:
        raise suite.SuiteError(str(error)) from error


def _wanted(checkpoint: Checkpoint, weights: Sequence[float], by: User | None) -> list[WeightRender]:
    """The suite's requests at each weight but the two that are drawn anyway; unsaved rows."""
    if not checkpoint.sha256:
        raise suite.SuiteError(f"{checkpoint} has no LoRA whose weight could change.")
    rows = []
    for one in suite.wanted(checkpoint, n_seeds=1):
        request = RenderRequest(**one.request)
        for weight in weights:
            if weight in (WITHOUT, AS_TRAINED):
                continue
            at_weight = replace(request, lora_weight=weight)
            rows.append(
                WeightRender(
                    checkpoint=checkpoint,
                    test_prompt=one.test_prompt,
                    lora_weight=weight,
                    request=json.loads(at_weight.to_json()),
                    digest=at_weight.digest(),
                    priority=one.priority,
                    by=by,
                )
            )
    return rows


def _known(checkpoint: Checkpoint, asked: Sequence[WeightRender]) -> RenderJobQuerySet[WeightRender]:
    return WeightRender.objects.filter(checkpoint=checkpoint, digest__in=[row.digest for row in asked])


def _queue(checkpoint: Checkpoint, asked: list[WeightRender]) -> int:
    with transaction.atomic():
        Checkpoint.objects.select_for_update(no_key=True).get(pk=checkpoint.pk)
        known = _known(checkpoint, asked)
        there = set(known.values_list("test_prompt_id", "digest"))
        new = [row for row in asked if (row.test_prompt_id, row.digest) not in there]
        again = known.filter(status__in=FINAL - {Status.RENDERED}).update(
            status=Status.QUEUED, attempts=0, message="", queued_at=timezone.now(), started_at=None, ended_at=None
        )
        WeightRender.objects.bulk_create(new)
        if new or again:
            async_task(tasks.render_checkpoint, checkpoint.pk, cluster=settings.TESTS_CLUSTER, group=tasks.GROUP)
    return len(new) + again
