"""What may be drawn for a matrix from the page of a run or an epoch: a full comparison, pictures at other weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from evaluation import full_comparison, suite, weights
from evaluation.baselines import baselines
from evaluation.matrix_forms import EpochsAndWeightsForm, WeightsForm
from evaluation.models import EpochResult
from evaluation.results import checkpoint_of
from punklab.acts import Act
from punklab.roles import TRAIN
from runs.models import Checkpoint, TrainingRun

_ERRORS = (suite.SuiteError, PermissionDenied)
_NO_FILE = "There is no LoRA file to draw with: train the run, or adopt its past files (`manage.py adopt_files`)."


def _question(run: TrainingRun) -> str:
    try:
        estimate = full_comparison.estimate(run, baselines())
    except suite.SuiteError:
        return "A full comparison cannot be drawn."
    names = ", ".join(["the base without a LoRA", *map(str, baselines())])
    told = str(estimate)
    return (
        f"Draw what is missing of {names} and every epoch of {run}: the whole suite, in both sizes?\n"
        f"{told[0].upper()}{told[1:]}.\nIt goes on in the background, and after an interruption where it stopped."
    )


def _blockers(run: TrainingRun) -> list[str]:
    try:
        full_comparison.estimate(run, baselines())
    except suite.SuiteError as error:
        return [str(error)]
    return []


def _start(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    left = full_comparison.progress(full_comparison.start(run, by, baselines())).left
    if left is None:
        return "The full comparison is there already: every picture of it is drawn."
    return f"The full comparison draws {left}."


START_COMPARISON = Act(
    name="full-comparison",
    label="Full comparison",
    permission=TRAIN,
    question=_question,
    blockers=_blockers,
    perform=_start,
    errors=_ERRORS,
    offered=lambda run: full_comparison.unfinished(run) is None,
)


def _cancel(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    job = full_comparison.unfinished(run)
    n_cancelled = full_comparison.cancel(job, by) if job else 0
    return f"{n_cancelled} picture{' was' if n_cancelled == 1 else 's were'} taken off the queue; what is drawn stays."


CANCEL_COMPARISON = Act(
    name="cancel-full-comparison",
    label="Cancel full comparison",
    permission=TRAIN,
    question=lambda run: (
        f"End the full comparison of {run}? Pictures that were queued for it alone are taken off the queue, drawn ones "
        "stay, and it can be taken up again."
    ),
    perform=_cancel,
    errors=_ERRORS,
    offered=lambda run: full_comparison.unfinished(run) is not None,
)


def _draw(checkpoints: Sequence[Checkpoint], by: User, asked: Sequence[float]) -> str:
    n_queued = sum(weights.queue(checkpoint, asked, by) for checkpoint in checkpoints)
    if not n_queued:
        return "Nothing was missing: all pictures at these weights are drawn or queued already."
    return f"{n_queued} picture{' is' if n_queued == 1 else 's are'} queued; the matrix shows them."


def _draw_epochs(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    found = list(run.checkpoints.filter(epoch__in=given["epochs"]).select_related("run").order_by("epoch"))
    unknown = sorted(given["epochs"] - {each.epoch for each in found})
    if unknown:
        raise suite.SuiteError(f"{run} has no LoRA file of epoch {', '.join(map(str, unknown))}.")
    return _draw(found, by, given["weights"])


def _draw_epoch(result: EpochResult, by: User, given: dict[str, Any]) -> str:
    checkpoint = checkpoint_of(result)
    if checkpoint is None:
        raise suite.SuiteError(_NO_FILE)
    return _draw([checkpoint], by, given["weights"])


_QUESTION = (
    "Draw the suite with the LoRA at other strengths too? These pictures stand in the matrix only: they are not measured "
    "and never count as the epoch's own."
)
WEIGHTS_OF_RUN = Act(
    name="draw-weights",
    label="Draw with weights",
    permission=TRAIN,
    question=lambda _: _QUESTION,
    blockers=lambda run: [] if run.checkpoints.filter(epoch__gt=0).exists() else [_NO_FILE],
    perform=_draw_epochs,
    errors=_ERRORS,
    form=EpochsAndWeightsForm,
)
WEIGHTS_OF_EPOCH = Act(
    name="draw-weights",
    label="Draw with weights",
    permission=TRAIN,
    question=lambda _: _QUESTION,
    blockers=lambda result: [] if checkpoint_of(result) else [_NO_FILE],
    perform=_draw_epoch,
    errors=_ERRORS,
    form=WeightsForm,
)
