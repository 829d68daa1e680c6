"""What the queue's workers do for `evaluation`. Each function is safe to run twice."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from evaluation import rendering, results
from evaluation.matrix_models import WeightRender
from evaluation.models import TestRender
from evaluation.renderjob import FINAL, RenderJobQuerySet, Status
from runs.models import Checkpoint

GROUP = "test renders"
MOST_AT_ONCE = 8
# A task that has used up this share of the queue's timeout makes room for its successor
SHARE_OF_TIMEOUT = 1 / 3
LATELY = timedelta(hours=1)


def render_checkpoint(pk: int) -> str:
    """Draw and measure a checkpoint's queued test pictures, the quick one first and alone; return what was done.

    Then those at other LoRA weights, which nothing measures. Hands over to a task of its own kind when it would outlast the queue's timeout."""
    checkpoint = Checkpoint.objects.select_related("run").get(pk=pk)
    paths = {checkpoint.sha256: checkpoint.path} if checkpoint.sha256 and checkpoint.path else {}
    end = time.monotonic() + settings.RENDER_TIMEOUT * SHARE_OF_TIMEOUT
    measure_drawn(checkpoint)
    n_tried = n_drawn = 0
    for rows in _rows_of(checkpoint):
        tried: set[int] = set()
        while pks := _next(rows, tried):
            if n_tried and time.monotonic() > end:
                async_task(render_checkpoint, pk, cluster=settings.TESTS_CLUSTER, group=GROUP)
                return f"{checkpoint}: {n_drawn} pictures drawn, more to come"
            tried.update(pks)
            n_tried += len(pks)
            n_drawn += len(rendering.render_rows(rows, pks, paths))
            measure_drawn(checkpoint)
    return f"{checkpoint}: {n_drawn} pictures drawn"


def sweep() -> str:
    """Put abandoned test renders back, enqueue what no task will serve, measure what a dead worker left unmeasured.

    Safe at any time and in several processes at once; returns what was done."""
    moved = TestRender.objects.put_back() + WeightRender.objects.put_back()
    n_enqueued = enqueue_forgotten()
    unmeasured = _checkpoints(status=Status.RENDERED, measures__isnull=True)
    for checkpoint in unmeasured | _checkpoints(ended_at__gt=timezone.now() - LATELY):
        measure_drawn(checkpoint)
    return f"{moved} pictures moved, {n_enqueued} checkpoints enqueued again"


def enqueue_forgotten() -> int:
    """Enqueue each checkpoint with queued pictures when the tests' queue is empty; return how many.

    A task lost with its worker is noticed so; one too many finds nothing to claim and ends."""
    if get_broker(settings.TESTS_CLUSTER).queue_size():
        return 0
    queued = [
        rows.filter(status=Status.QUEUED).values("checkpoint") for rows in (TestRender.objects, WeightRender.objects)
    ]
    waiting = (
        Checkpoint.objects.filter(Q(pk__in=queued[0]) | Q(pk__in=queued[1]))
        .exclude(test_renders__status=Status.RENDERING)
        .exclude(weight_renders__status=Status.RENDERING)
    )
    for checkpoint in waiting:
        async_task(render_checkpoint, checkpoint.pk, cluster=settings.TESTS_CLUSTER, group=GROUP)
    return len(waiting)


def measure_drawn(checkpoint: Checkpoint) -> None:
    """Measure what was drawn and not measured, also by a worker that died; when nothing is left to draw, sum up."""
    rows = TestRender.objects.filter(checkpoint=checkpoint)
    for render in rows.filter(status=Status.RENDERED, measures__isnull=True).select_related("checkpoint__run"):
        results.record(render)
    if not rows.exclude(status__in=FINAL).exists() and results.is_behind(checkpoint):
        results.summarise(checkpoint)


def _rows_of(checkpoint: Checkpoint) -> tuple[RenderJobQuerySet[Any], ...]:
    """What is drawn of a checkpoint, in the order of importance."""
    return (
        TestRender.objects.filter(checkpoint=checkpoint).order_by("priority", "pk"),
        WeightRender.objects.filter(checkpoint=checkpoint).order_by("lora_weight", "priority", "pk"),
    )


def _next(rows: RenderJobQuerySet[Any], tried: set[int]) -> list[int]:
    """The next queued rows: the first picture alone, then as many as one task can draw in its share of the time."""
    queued = rows.filter(status=Status.QUEUED).exclude(pk__in=tried).values_list("pk", flat=True)
    drawn = rows.filter(status=Status.RENDERED).order_by("-ended_at").first()
    if drawn is None or not drawn.seconds:
        return list(queued[:1])
    in_time = int(settings.RENDER_TIMEOUT * SHARE_OF_TIMEOUT / drawn.seconds)
    return list(queued[: max(1, min(MOST_AT_ONCE, in_time))])


def _checkpoints(**facts: object) -> QuerySet[Checkpoint]:
    """The checkpoints that have a test render with these facts."""
    renders = TestRender.objects.filter(**facts).values("checkpoint")
    return Checkpoint.objects.filter(pk__in=renders).select_related("run")
