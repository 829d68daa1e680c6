"""Which epoch of a run is the best by people's scores."""

from __future__ import annotations

from evaluation.models import EpochResult
from runs.models import TrainingRun


def ranked(run: TrainingRun) -> list[EpochResult]:
    """The epochs that people scored, the best average first; of equals the earlier one, which is less overtrained."""
    scored = [each for each in EpochResult.objects.filter(training_run=run).scored() if not each.is_machine_scored]
    return sorted(scored, key=lambda each: (-(each.average or 0.0), each.epoch_number))


def best_epoch(run: TrainingRun) -> EpochResult | None:
    """The best epoch; None while no person has scored one."""
    return next(iter(ranked(run)), None)
