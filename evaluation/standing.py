"""How a run stands: its best epoch, what people scored it, and what the lab does at such an average.

The best epoch is the one that a person chose, else the one that people scored best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, F, FloatField, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from evaluation.models import EpochResult
from evaluation.trend_models import BestEpochChoice
from runs.models import TrainingRun

_SCORED = (
    EpochResult.objects.scored()
    .filter(training_run=OuterRef("pk"))
    .exclude(pk__in=EpochResult.objects.machine_scored().values("pk"))
    .order_by()
)
_CHOSEN = BestEpochChoice.objects.filter(run=OuterRef("training_run")).order_by("-created_at", "-pk")
# Of a query of runs: what people scored its best epoch on average, and how many epochs they scored
AVERAGE = Subquery(
    _SCORED.annotate(chosen=Subquery(_CHOSEN.values("epoch_result")[:1]))
    .filter(Q(chosen=None) | Q(chosen=F("pk")))
    .annotate(average_score=sum((F(name) for name in EpochResult.SCORES), Value(0.0)) / 3.0)
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
    """`best` is the epoch that somebody chose, else the one with the best average of people's scores, the earliest of equals;
    None where there is neither."""

    best: EpochResult | None
    n_scored: int
    is_chosen: bool = False

    @property
    def average(self) -> float | None:
        """What people scored the best epoch; None where they did not."""
        return self.best.average if self.best and not self.best.is_machine_scored else None

    def __str__(self) -> str:
        if self.best is None:
            return "no epoch scored by a person"
        scores = ", ".join(str(getattr(self.best, name)) for name in EpochResult.SCORES)
        got = "not scored by a person" if self.average is None else f"with {self.average:.1f} ({scores})"
        epochs = f"{self.n_scored} epoch{'' if self.n_scored == 1 else 's'} scored"
        return f"best epoch {self.best.epoch_number}{', chosen,' if self.is_chosen else ''} {got}, {epochs}"


def standings(runs: Iterable[TrainingRun]) -> dict[int, Standing]:
    """The standing of each run by its key; two queries."""
    rows = EpochResult.objects.scored().filter(training_run__in=runs).order_by("epoch_number")
    scored: dict[int | None, list[EpochResult]] = {}
    for row in rows:
        if not row.is_machine_scored:
            scored.setdefault(row.training_run_id, []).append(row)
    choices = BestEpochChoice.objects.filter(run__in=runs).select_related("epoch_result")
    latest = choices.order_by("run_id", "-created_at", "-pk").distinct("run_id")
    chosen = {choice.run_id: choice.epoch_result for choice in latest}
    return {run.pk: _standing(scored.get(run.pk, []), chosen.get(run.pk)) for run in runs}


def action_for(average: float | None) -> str:
    """What the lab does with a run whose best epoch has this average; empty before people scored one."""
    if average is None:
        return ""
    return next(action for threshold, action in ACTIONS if average >= threshold)


def _standing(rows: list[EpochResult], chosen: EpochResult | None) -> Standing:
    if chosen is not None:
        return Standing(best=chosen, n_scored=len(rows), is_chosen=True)
    best = max(rows, key=lambda row: (row.average or 0.0, -row.epoch_number), default=None)
    return Standing(best=best, n_scored=len(rows))
