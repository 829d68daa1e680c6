"""How a run stands by people's scores: its best epoch, what that got, and what the lab does at such an average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, F, FloatField, IntegerField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from evaluation.models import EpochResult
from runs.models import TrainingRun

_SCORED = (
    EpochResult.objects.scored()
    .filter(training_run=OuterRef("pk"))
    .exclude(pk__in=EpochResult.objects.machine_scored().values("pk"))
    .order_by()
)
# Of a query of runs: the average of the epoch that people scored best, and how many epochs they scored
AVERAGE = Subquery(
    _SCORED.annotate(average_score=sum((F(name) for name in EpochResult.SCORES), Value(0.0)) / 3.0)
    .order_by("-average_score")
    .values("average_score")[:1],
    output_field=FloatField(),
)
N_SCORED = Coalesce(
    Subquery(_SCORED.values("training_run").annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0
)
# The lab's thresholds for the average of a run's best epoch, the highest first
ACTIONS = ((9.0, "deploy"), (7.0, "consider deploying"), (5.0, "train on or adjust"), (0.0, "stop and analyse"))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`best` is the epoch with the best average of a person's scores, the earliest of equals; None before any."""

    best: EpochResult | None
    n_scored: int

    @property
    def average(self) -> float | None:
        return self.best.average if self.best else None

    def __str__(self) -> str:
        if self.best is None:
            return "no epoch scored by a person"
        scores = ", ".join(str(getattr(self.best, name)) for name in EpochResult.SCORES)
        epochs = f"{self.n_scored} epoch{'' if self.n_scored == 1 else 's'} scored"
        return f"best epoch {self.best.epoch_number} with {self.best.average:.1f} ({scores}), {epochs}"


def standings(runs: Iterable[TrainingRun]) -> dict[int, Standing]:
    """The standing of each run by its key; one query."""
    rows = EpochResult.objects.scored().filter(training_run__in=runs).order_by("epoch_number")
    scored: dict[int | None, list[EpochResult]] = {}
    for row in rows:
        if not row.is_machine_scored:
            scored.setdefault(row.training_run_id, []).append(row)
    return {run.pk: _standing(scored.get(run.pk, [])) for run in runs}


def action_for(average: float | None) -> str:
    """What the lab does with a run whose best epoch has this average; empty before people scored one."""
    if average is None:
        return ""
    return next(action for threshold, action in ACTIONS if average >= threshold)


def _standing(rows: list[EpochResult]) -> Standing:
    best = max(rows, key=lambda row: (row.average or 0.0, -row.epoch_number), default=None)
    return Standing(best=best, n_scored=len(rows))
