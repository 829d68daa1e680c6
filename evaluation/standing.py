"""How a run stands by people's scores: its best epoch, what that got, and what the lab does at such an average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evaluation.models import EpochResult
from runs.models import TrainingRun

# The lab's thresholds for the average of a run's best epoch.
DEPLOY, CONSIDER, ADJUST = 9.0, 7.0, 5.0


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
    if average >= DEPLOY:
        return "deploy"
    if average >= CONSIDER:
        return "consider deploying"
    if average >= ADJUST:
        return "train on or adjust"
    return "stop and analyse"


def _standing(rows: list[EpochResult]) -> Standing:
    best = max(rows, key=lambda row: (row.average or 0.0, -row.epoch_number), default=None)
    return Standing(best=best, n_scored=len(rows))
