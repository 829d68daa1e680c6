"""The console's first page: what needs a person, what runs now, what is live, the last runs, what releases have cost.

The same few queries however much there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ

from deployment.models import Generation, Release
from evaluation import desk, voices
from evaluation.gallery import picture_url
from evaluation.models import EpochResult, ScoreEntry, TestRender
from evaluation.renderjob import Status
from evaluation.standing import standings
from punklab.roles import SCORE
from runs.caption_models import CaptionFindings
from runs.models import Lease, TrainingJob, TrainingRun
from runs.plan_models import LossPoint
from runs.run_facts import HOURS
from runs.spending import money, spent_on

LATELY = timedelta(days=7)
MOST_JOBS, MOST_RUNS, MOST_RELEASES, MOST_PICTURES = 5, 6, 5, 6
_BROKEN = (TrainingJob.Status.FAILED, TrainingJob.Status.ERRORED)
_WIDTH, _HEIGHT = 120, 32


@dataclass(frozen=True)
class Need:
    """Something that waits for a person: what, how many, and where."""

    what: str
    n: int
    url: str
    is_grave: bool = False


@dataclass(kw_only=True)
class Running:
    """A training that has not ended, with its loss so far and the latest pictures of its run."""

    job: TrainingJob
    seconds: float
    money: str = ""
    curve: str = ""
    pictures: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Lately:
    """One of the last runs: `curve` are the means of its epochs' scores, 0 to 10, `best` that of its best epoch."""

    run: TrainingRun
    curve: str
    best: float | None
    n_scored: int


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a release has taken: hours of training, money for rented machines ("": none), test pictures, visitors' punks."""

    release: Release
    hours: float | None
    money: str
    test_seconds: float
    punks: int


def needs(user: User) -> list[Need]:
    """What waits for this person, the most pressing first; nothing that is not there."""
    epochs = reverse("admin:evaluation_epochresult_changelist")
    awaiting = EpochResult.objects.awaiting_scores()
    given = (ScoreEntry.Source.PERSON, ScoreEntry.Source.ACCEPTED)
    reviewers = Count("score_entries__by", filter=Q(score_entries__source__in=given), distinct=True)
    several = awaiting.annotate(n_reviewers=reviewers).filter(n_reviewers__gt=1).prefetch_related("score_entries")
    apart = sum(bool(voices.disagreement(voices.standing(row.score_entries.all()))) for row in several)
    since = timezone.now() - LATELY
    broken_jobs = TrainingJob.objects.filter(status__in=_BROKEN, ended_at__gt=since).count()
    broken_renders = TestRender.objects.filter(status__in=(Status.FAILED, Status.ERRORED), ended_at__gt=since).count()
    found = [
        Need(
            "training failed|trainings failed", broken_jobs, _list("runs", "trainingjob", "status__exact=failed"), True
        ),
        Need("test picture failed|test pictures failed", broken_renders, _list("evaluation", "testrender"), True),
        Need("task failed|tasks failed", Failure.objects.count(), _list("django_q", "failure"), True),
        Need("epoch awaits scores|epochs await scores", awaiting.count(), f"{epochs}?scores=awaiting"),
        Need("epoch divides its reviewers|epochs divide their reviewers", apart, f"{epochs}?scores=awaiting"),
    ]
    checked = CaptionFindings.objects.order_by("-version").values_list("version", "version__version_name", "found")
    if (captions := checked.first()) is not None:
        version, name, by_stem = captions
        n_captions = sum(map(bool, by_stem.values()))
        words = f"caption of {name} with findings|captions of {name} with findings"
        found.append(Need(words, n_captions, reverse("runs:captions", args=(version,))))
    return [need for need in found if need.n]


def to_score(user: User) -> int:
    """How many epochs wait for this reviewer; 0 for others."""
    return len(desk.waiting(user)) if user.has_perm(SCORE) else 0


def tasks_waiting() -> int:
    """How many tasks the database's queue holds."""
    return int(OrmQ.objects.count())


def running() -> list[Running]:
    """The trainings that have not ended, the latest first."""
    jobs = list(TrainingJob.objects.unfinished().select_related("run")[:MOST_JOBS])
    losses: dict[int, list[float]] = defaultdict(list)
    for job, loss in LossPoint.objects.filter(job__in=jobs).order_by("step").values_list("job_id", "loss"):
        losses[job].append(loss)
    pictures: dict[int | None, list[str]] = defaultdict(list)
    drawn = TestRender.objects.filter(checkpoint__run__in=[job.run_id for job in jobs], status=Status.RENDERED)
    latest = drawn.order_by("-ended_at").values_list("pk", "checkpoint__run")[: 4 * MOST_PICTURES]
    for key, run in latest:
        if len(pictures[run]) < MOST_PICTURES:
            pictures[run].append(picture_url("render", key))
    now = timezone.now()
    rented: dict[int, list[Lease]] = defaultdict(list)
    for lease in Lease.objects.filter(job__in=jobs).exclude(requested_at=None):
        rented[lease.job_id].append(lease)
    return [
        Running(
            job=job,
            money=money(spent_on(rented[job.pk], now)) if rented[job.pk] else "",
            seconds=(now - (job.started_at or now)).total_seconds(),
            curve=curve(losses[job.pk]),
            pictures=pictures[job.run_id],
        )
        for job in jobs
    ]


def lately() -> list[Lately]:
    """The last runs with the means of their epochs' scores."""
    runs = list(TrainingRun.objects.all()[:MOST_RUNS])
    means: dict[int | None, list[float]] = defaultdict(list)
    for row in EpochResult.objects.filter(training_run__in=runs).scored().order_by("epoch_number"):
        if row.average is not None and not row.is_machine_scored:
            means[row.training_run_id].append(row.average)
    stand = standings(runs)
    return [
        Lately(
            run=run,
            curve=curve(means[run.pk], (0, 10)),
            best=stand[run.pk].average,
            n_scored=len(means[run.pk]),
        )
        for run in runs
    ]


def spent() -> list[Spent]:
    """What the last releases have taken, the latest first."""
    releases = list(Release.objects.select_related("checkpoint__run")[:MOST_RELEASES])
    runs = [release.checkpoint.run_id for release in releases if release.checkpoint.run_id]
    leases: dict[int, list[Lease]] = defaultdict(list)
    for lease in Lease.objects.filter(job__run__in=runs).exclude(requested_at=None).select_related("job"):
        leases[lease.job.run_id].append(lease)
    hours = dict(TrainingRun.objects.filter(pk__in=runs).annotate(hours=HOURS).values_list("pk", "hours"))
    tests = TestRender.objects.filter(checkpoint__run__in=runs).order_by().values_list("checkpoint__run")
    seconds = dict(tests.annotate(seconds=Sum("seconds")))
    punks = dict(
        Generation.objects.filter(release__in=releases, status=Status.RENDERED)
        .order_by()
        .values_list("release")
        .annotate(n=Count("pk"))
    )
    return [
        Spent(
            release=release,
            hours=hours.get(release.checkpoint.run_id or 0),
            money=money(spent_on(rented)) if (rented := leases[release.checkpoint.run_id or 0]) else "",
            test_seconds=seconds.get(release.checkpoint.run_id) or 0.0,
            punks=punks.get(release.pk, 0),
        )
        for release in releases
    ]


def curve(values: Sequence[float], bounds: tuple[float, float] | None = None) -> str:
    """The points of an SVG polyline on 120 by 32 units, between `bounds` or the values' own; empty under two values."""
    if len(values) < 2:
        return ""
    low, high = bounds or (min(values), max(values))
    span = (high - low) or 1.0
    step = _WIDTH / (len(values) - 1)
    return " ".join(f"{i * step:.1f},{_HEIGHT * (1 - (value - low) / span):.1f}" for i, value in enumerate(values))


def _list(app: str, model: str, query: str = "") -> str:
    return reverse(f"admin:{app}_{model}_changelist") + (f"?{query}" if query else "")
