"""Phase 4 of the lab's procedure as one job: baselines beside every epoch of a run, the whole suite, drawn in the background.

Both sizes come from one rendering: the picture as rendered and its 24x24. The job's pictures are test renders, so a worker
that dies costs the picture at hand and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from evaluation import suite
from evaluation.matrix_models import ComparedPicture, FullComparison
from evaluation.models import TestRender
from evaluation.renderjob import FINAL, Status
from punklab.diffusion.base import BaseError
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint, TrainingRun

_WAITING = (Status.QUEUED, Status.RENDERING)
_BROKEN = (Status.FAILED, Status.ERRORED)
_TOLD = 5  # different reasons for pictures that failed


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a comparison stands: numbers of pictures, and how long the waiting ones take (None: nothing waits)."""

    total: int
    drawn: int
    waiting: int
    failed: int
    cancelled: int
    left: suite.Estimate | None
    reasons: Sequence[str]

    @property
    def share(self) -> float:
        """How much is over and done with, 0 to 1."""
        return 1 - self.waiting / self.total if self.total else 1.0

    @property
    def is_whole(self) -> bool:
        return self.drawn == self.total


def start(run: TrainingRun, by: User | None, beside: Sequence[Checkpoint] = ()) -> FullComparison:
    """Queue a picture of every prompt that is missing for the base, `beside` and all epochs of the run; return the job.

    One that still draws is brought up to date and returned; what was cancelled or failed is queued again. Raises
    SuiteError when there are no epochs or one cannot be drawn, PermissionDenied when `by` may not queue tests."""
    suite.refuse_stranger(by)
    with transaction.atomic():
        TrainingRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        job = unfinished(run) or FullComparison.objects.create(run=run, by=by)
        linked = dict(job.pictures.values_list("render", "queued_here"))
        found: dict[int, bool] = {}
        for checkpoint in checkpoints_of(run, beside):
            settled = {
                one.pk for one in suite.pictures(checkpoint, n_seeds=1) if one.status not in FINAL - {Status.RENDERED}
            }
            suite.queue(checkpoint, by=by, n_seeds=1)
            found |= {one.pk: one.pk not in settled for one in suite.pictures(checkpoint, n_seeds=1)}
        ComparedPicture.objects.bulk_create(
            ComparedPicture(comparison=job, render_id=pk, queued_here=queued_here)
            for pk, queued_here in found.items()
            if pk not in linked
        )
        again = [pk for pk, queued_here in found.items() if queued_here and linked.get(pk) is False]
        job.pictures.filter(render__in=again).update(queued_here=True)
    return job


def cancel(job: FullComparison, by: User | None) -> int:
    """End the job and take off the queue what was queued for it alone; return how many pictures.

    What the suite queued, or another run's comparison needs too, stays; what is being drawn is finished, drawn pictures are kept. Raises
    PermissionDenied when `by` may not queue tests."""
    suite.refuse_stranger(by)
    with transaction.atomic():
        if not FullComparison.objects.filter(pk=job.pk, cancelled_at=None).update(
            cancelled_at=timezone.now(), cancelled_by=by
        ):
            return 0
        others = ComparedPicture.objects.filter(render=OuterRef("pk"), comparison__cancelled_at=None)
        others = others.exclude(comparison__run=job.run_id)  # the run's earlier ones are done
        mine = job.pictures.filter(queued_here=True).values("render")
        return TestRender.objects.filter(~Exists(others), pk__in=mine, status=Status.QUEUED).update(
            status=Status.CANCELLED, ended_at=timezone.now(), message="Cancelled with its full comparison."
        )


def latest(run: TrainingRun) -> FullComparison | None:
    """The run's last full comparison; None before the first."""
    return FullComparison.objects.filter(run=run).select_related("run", "by", "cancelled_by").first()


def unfinished(run: TrainingRun) -> FullComparison | None:
    """The run's full comparison that still draws; None when there is none."""
    job = latest(run)
    draws = job is not None and job.cancelled_at is None and job.pictures.filter(render__status__in=_WAITING).exists()
    return job if draws else None


def progress(job: FullComparison) -> Progress:
    """Where the job stands. At most four queries."""
    counts = dict(job.pictures.order_by().values_list("render__status").annotate(n=Count("pk")))
    waiting = sum(counts.get(status, 0) for status in _WAITING) if job.cancelled_at is None else 0
    sample = job.pictures.filter(render__status__in=_WAITING).select_related("render__checkpoint") if waiting else None
    one = sample.first() if sample is not None else None
    broken = job.pictures.filter(render__status__in=_BROKEN).order_by() if any(map(counts.get, _BROKEN)) else None
    return Progress(
        total=sum(counts.values()),
        drawn=counts.get(Status.RENDERED, 0),
        waiting=waiting,
        failed=sum(counts.get(status, 0) for status in _BROKEN),
        cancelled=counts.get(Status.CANCELLED, 0),
        left=suite.estimate_of(one.render, waiting) if one else None,
        reasons=list(broken.values_list("render__message", flat=True).distinct()[:_TOLD]) if broken is not None else [],
    )


def checkpoints_of(run: TrainingRun, beside: Sequence[Checkpoint] = ()) -> list[Checkpoint]:
    """What is compared: the base without a LoRA, `beside`, the run's epochs, each once. Raises SuiteError."""
    epochs = list(Checkpoint.objects.filter(run=run, epoch__gt=0).select_related("run").order_by("epoch"))
    if not epochs:
        raise suite.SuiteError(
            f"{run} has no LoRA file to draw with: train the run, or adopt its past files (`manage.py adopt_files`)."
        )
    try:
        base = base_alone(base_for(run.base_model))
    except BaseError as error:
        raise suite.SuiteError(str(error)) from error
    return list({each.pk: each for each in (base, *beside, *epochs)}.values())


def estimate(run: TrainingRun, beside: Sequence[Checkpoint] = ()) -> suite.Estimate:
    """What `start` would queue and how long that takes. Raises SuiteError when it cannot be drawn."""
    estimates = [suite.estimate(checkpoint, n_seeds=1) for checkpoint in checkpoints_of(run, beside)]
    return suite.Estimate(
        pictures=sum(one.pictures for one in estimates),
        seconds=sum(one.seconds for one in estimates),
        measured=all(one.measured for one in estimates),
    )
