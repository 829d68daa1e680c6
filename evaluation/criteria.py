"""A run's criterion, named before its training: looked at once, when its epoch is judged; early stop obeys it."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone

from evaluation import metrics, results, scoring
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import FINAL
from runs.models import RunPlan, TrainingRun
from runs.training import ActError, cancel

logger = logging.getLogger(__name__)

_SCORES = {"average": "the average of a person's three scores"} | {
    column: f"a person's {name}" for column, name in scoring.NAMES.items()
}
LABELS = _SCORES | {
    measure.key: f"{measure.label}, percent" if measure.is_share else measure.label for measure in metrics.MEASURES
}
CHOICES = tuple(LABELS.items())


def check() -> str:
    """Judge each criterion whose epoch can be judged now, and cancel the trainings that fail theirs; return what was done.

    Scheduled each minute; a criterion is judged once, whatever becomes of the scores later."""
    n_judged = 0
    for plan in RunPlan.objects.exclude(measure="").filter(judged_at=None).select_related("run"):
        value = value_of(plan)
        if value is not None:
            n_judged += judge(plan, value)
    return f"{n_judged} criteria judged"


def value_of(plan: RunPlan) -> float | None:
    """What the criterion's epoch has of its measure; None while it is not drawn, measured or scored."""
    row = EpochResult.objects.filter(training_run=plan.run, epoch_number=plan.epoch or 0).order_by("id").first()
    if row is None:
        return None
    if plan.measure in _SCORES:
        if row.is_machine_scored:
            return None
        score: float | None = row.average if plan.measure == "average" else getattr(row, plan.measure)
        return score
    ours = results.metrics_ours(row)
    waits = TestRender.objects.filter(checkpoint__run=plan.run, checkpoint__epoch=plan.epoch).exclude(status__in=FINAL)
    measure = metrics.BY_KEY.get(plan.measure)
    if ours is None or not metrics.is_current(ours) or measure is None or waits.exists():
        return None
    mean: float | None = ours["means"].get(measure.key)
    return mean * 100 if mean is not None and measure.is_share else mean


def judge(plan: RunPlan, value: float) -> bool:
    """Write how a criterion came out, and end the training where it is not met; False when that was done before."""
    assert plan.threshold is not None
    at_least = plan.direction == RunPlan.Direction.AT_LEAST
    is_met = value >= plan.threshold if at_least else value <= plan.threshold
    outcome = f"{'Met' if is_met else 'Not met'}: {sentence(plan)}; it is {value:g}."
    with transaction.atomic():
        open_still = RunPlan.objects.filter(pk=plan.pk, judged_at=None)
        if not open_still.update(judged_at=timezone.now(), is_met=is_met, outcome=outcome):
            return False
        if not is_met:
            _stop(plan.run, outcome)
    return True


def sentence(plan: RunPlan) -> str:
    """The criterion in words."""
    return (
        f"epoch {plan.epoch}, {LABELS.get(plan.measure, plan.measure)}, is to be {plan.get_direction_display()} "
        f"{plan.threshold:g}"
    )


def _stop(run: TrainingRun, outcome: str) -> None:
    try:
        with transaction.atomic():
            cancel(run, reason=f"The run's criterion ends it. {outcome}")
    except ActError:
        logger.info("%s fails its criterion, and no training is left to end", run)
