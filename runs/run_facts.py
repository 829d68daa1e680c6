"""What a run's page tells beyond its row: plan, captions with their findings, loss curve, cost. The same few queries always."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.db.models import F, FloatField, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce, Extract
from django.utils import timezone

from runs.backends import RENTED
from runs.caption_findings import known_findings
from runs.models import CaptionVersion, Lease, LossPoint, RunPlan, TrainingJob, TrainingRun
from runs.spending import money, spent_on

_JOB_SECONDS = (
    TrainingJob.objects.filter(run=OuterRef("pk"), started_at__isnull=False, ended_at__isnull=False)
    .order_by()
    .values("run")
    .annotate(seconds=Sum(Extract(F("ended_at") - F("started_at"), "epoch"), output_field=FloatField()))
    .values("seconds")
)
# Of a query of runs: the hours of the jobs that ended here, else those that the row names
HOURS = Coalesce(Subquery(_JOB_SECONDS) / 3600.0, F("training_duration_hours"), output_field=FloatField())
ENOUGH_DISK = 500 * 10**6  # bytes for ten epochs and a state, the lab's own rule
_WIDTH, _HEIGHT = 1000, 100


@dataclass(frozen=True, kw_only=True)
class Captions:
    """A run's caption version, and how many findings of each code it has; `counts` None: its captions are not here.

    Not `is_checked`: the queue is looking for the findings.
    """

    name: str
    version: CaptionVersion | None
    counts: dict[str, int] | None
    n_blocking: int = 0
    is_checked: bool = True


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The loss over a job's steps: `points` of an SVG polyline on 1000 by 100, and the curve in numbers."""

    points: str
    first: LossPoint
    last: LossPoint
    lowest: LossPoint


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Hours that a run's jobs took here, else those its row names; None where nobody knows."""

    hours: float | None
    gpu: str
    platform: str
    n_jobs: int
    is_rented: bool


@dataclass(frozen=True, kw_only=True)
class Rented:
    """Machines rented for a run, the latest first, each with its cost in words and its hours.

    `total`: US dollars. `outside_share`: of the paid time that was no training, 0 to 1; None: not known."""

    leases: list[tuple[Lease, str, float]]
    total: Decimal
    n_epochs: int
    outside_share: float | None

    @property
    def money(self) -> str:
        return money(self.total)

    @property
    def per_epoch(self) -> str:
        """What an epoch cost so far; "" while none is here."""
        return money(self.total / self.n_epochs) if self.n_epochs else ""


def plan_of(run: TrainingRun) -> RunPlan | None:
    """Why the run was made; None for one that was made without saying so."""
    return RunPlan.objects.filter(run=run).select_related("parent", "starting_checkpoint__run", "by").first()


def captions_of(run: TrainingRun) -> Captions:
    """The run's captions and what the check found in them as they are now."""
    name = run.caption_version or ""
    version = CaptionVersion.objects.filter(version_name=name).first() if name else None
    if version is None:
        return Captions(name=name, version=None, counts=None)
    if not version.captions.exists():
        return Captions(name=name, version=version, counts=None)
    known = known_findings(version)
    found = [each for several in known.found.values() for each in several]
    return Captions(
        name=name,
        version=version,
        counts=dict(sorted(Counter(each.code for each in found).items())),
        n_blocking=sum(each.blocking for each in found),
        is_checked=known.is_ready,
    )


def curve_of(run: TrainingRun) -> Curve | None:
    """The loss of the run's latest job that told one; None while there are fewer than two points."""
    latest = LossPoint.objects.filter(job__run=run).order_by("-job_id").values("job_id")[:1]
    points = list(LossPoint.objects.filter(job__in=latest).order_by("step"))
    if len(points) < 2:
        return None
    low, high = min(point.loss for point in points), max(point.loss for point in points)
    span, start = (high - low) or 1.0, points[0].step
    steps = points[-1].step - start
    drawn = [
        f"{_WIDTH * (point.step - start) / steps:.1f},{_HEIGHT * (1 - (point.loss - low) / span):.1f}"
        for point in points
    ]
    lowest = min(points, key=lambda point: point.loss)
    return Curve(points=" ".join(drawn), first=points[0], last=points[-1], lowest=lowest)


def cost_of(run: TrainingRun) -> Cost:
    """What the run took of machines; `rented_of` has what rented ones cost."""
    jobs = list(TrainingJob.objects.filter(run=run).values_list("started_at", "ended_at", "backend"))
    seconds = [((ended or timezone.now()) - started).total_seconds() for started, ended, _ in jobs if started]
    hours = sum(seconds) / 3600 if seconds else run.training_duration_hours
    return Cost(
        hours=hours,
        gpu=run.gpu_type or "",
        platform=run.platform or "",
        n_jobs=len(seconds),
        is_rented=any(backend in RENTED for _, _, backend in jobs),
    )


def rented_of(run: TrainingRun) -> Rented | None:
    """The machines that were rented for a run, and what they cost; None for a run that rented none."""
    leases = list(Lease.objects.filter(job__run=run).exclude(requested_at=None).order_by("-created_at"))
    if not leases:
        return None
    now = timezone.now()
    trained = sum(float(lease.seconds.get("training", 0)) for lease in leases)
    paid = sum(float(lease.hours(now)) for lease in leases) * 3600
    return Rented(
        leases=[(lease, money(lease.cost(now)), float(lease.hours(now))) for lease in leases],
        total=spent_on(leases, now),
        n_epochs=run.checkpoints.count(),
        outside_share=max(0.0, 1 - trained / paid) if paid and trained else None,
    )


def free_disk() -> int:
    """Bytes free where checkpoints are kept."""
    folder = Path(settings.STORAGE_DIR)
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))
    return shutil.disk_usage(there).free
