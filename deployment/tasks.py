"""What the queue does for the public page and for promotions; each is safe to run twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django_q.brokers import get_broker
from django_q.tasks import async_task

from deployment import verification
from deployment.models import Generation, Verification
from evaluation.rendering import render_rows
from evaluation.renderjob import Status
from punklab.diffusion.renderer import resident
from runs.bases import base_for
from runs.models import Checkpoint


def warm() -> None:
    """Load the base model into this worker, so that the first visitor does not wait for it."""
    resident(base_for(settings.BASE_MODEL), settings.DEVICE)


def draw(pk: int) -> None:
    """Draw a visitor's punk; nothing happens when it is drawn already or someone else draws it."""
    row = Generation.objects.select_related("release__checkpoint").get(pk=pk)
    render_rows(Generation.objects.all(), [pk], _lora_paths(row.release.checkpoint))
    _again(Generation, draw, pk, settings.VISITORS_CLUSTER)


def verify(pk: int) -> None:
    """Draw the judged picture again and compare; a second run only does what the first left undone."""
    row = Verification.objects.select_related("test_render__checkpoint").get(pk=pk)
    render_rows(Verification.objects.all(), [pk], _lora_paths(row.test_render.checkpoint))
    row.refresh_from_db()
    if row.status == Status.RENDERED and row.matches is None:
        verification.judge(row)
    _again(Verification, verify, pk, settings.TESTS_CLUSTER)


def sweep() -> None:
    """Queue again what a dead worker left behind, and rows whose task got lost."""
    _sweep(Generation, draw, settings.VISITORS_CLUSTER)
    _sweep(Verification, verify, settings.TESTS_CLUSTER)


def _sweep(model: type[Generation] | type[Verification], task: Callable[[int], None], cluster: str) -> None:
    """Put stale rows back and queue a task for each row that has none.

    A task that was taken by a worker which then died is not delivered again; with an empty queue every row that still
    waits has lost its task.
    """
    stale = list(model.objects.stale().values_list("pk", flat=True))
    model.objects.put_back()
    waiting = model.objects.filter(status=Status.QUEUED).order_by("queued_at", "pk")
    if get_broker(cluster).queue_size():
        waiting = waiting.filter(pk__in=stale)
    for pk in waiting.values_list("pk", flat=True):
        async_task(task, pk, cluster=cluster)


def _again(model: type[Generation] | type[Verification], task: Callable[[int], None], pk: int, cluster: str) -> None:
    """Queue a task for a row that was given back after a fault of ours; its attempts are counted."""
    if model.objects.filter(pk=pk, status=Status.QUEUED).exists():
        async_task(task, pk, cluster=cluster)


def _lora_paths(checkpoint: Checkpoint) -> dict[str, Path]:
    return {checkpoint.sha256: checkpoint.path} if checkpoint.path else {}
