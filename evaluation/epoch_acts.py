"""Test pictures queued, and taken off the queue, from the page of a run or an epoch. `evaluation.suite` does it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from evaluation import progressive, suite, weights
from evaluation.forms import SuiteForm
from evaluation.matrix_models import WeightRender
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from punklab.acts import Act
from punklab.roles import TRAIN
from runs.models import Checkpoint, TrainingRun

_ERRORS = (suite.SuiteError, PermissionDenied)
CANNOT = "Test pictures cannot be queued."


def _of_run(run: TrainingRun) -> list[Checkpoint]:
    return list(run.checkpoints.exclude(epoch=None).order_by("epoch"))


def _of_epoch(result: EpochResult) -> list[Checkpoint]:
    found = Checkpoint.objects.filter(run_id=result.training_run_id, epoch=result.epoch_number)
    return list(found) if result.training_run_id else []


def _question(checkpoints: list[Checkpoint]) -> str:
    """What each suite would draw and how long that takes on this machine."""
    lines = []
    for size in suite.Size:
        estimates = [suite.estimate(checkpoint, size) for checkpoint in checkpoints]
        total = suite.Estimate(
            pictures=sum(one.pictures for one in estimates),
            seconds=sum(one.seconds for one in estimates),
            measured=all(one.measured for one in estimates),
        )
        lines.append(f"{size}: {total}")
    return "\n".join(["Queue the test pictures that are missing?", *lines])


def _blockers(checkpoints: list[Checkpoint]) -> list[str]:
    if not checkpoints:
        return ["There is no LoRA file to draw with: train the run, or adopt its past files (`manage.py adopt_files`)."]
    try:
        for checkpoint in checkpoints:
            suite.estimate(checkpoint, suite.Size.QUICK)
    except suite.SuiteError as error:
        return [str(error)]
    return []


def _asked(checkpoints: list[Checkpoint]) -> str:
    try:
        return _question(checkpoints) if checkpoints else CANNOT
    except suite.SuiteError:
        return CANNOT


def _by_rule(checkpoints: list[Checkpoint]) -> str:
    """What the rules give an epoch, for the person who chooses."""
    asked = _asked(checkpoints)
    if asked == CANNOT:
        return asked
    choice = progressive.choose(checkpoints[0])
    return f"{asked}\nBy the rules for suites: {choice or 'nothing: no rule names this epoch'}."


def _queue(checkpoints: list[Checkpoint], by: User, given: dict[str, Any]) -> str:
    return _told(sum(suite.queue(checkpoint, given["size"], by) for checkpoint in checkpoints))


def _told(n_queued: int) -> str:
    if not n_queued:
        return "Nothing was missing: all pictures are drawn or queued already."
    return f"{n_queued} test picture{' is' if n_queued == 1 else 's are'} queued."


def _repeat(checkpoints: list[Checkpoint], by: User) -> str:
    return _told(sum(suite.queue_repeats(checkpoint, by) for checkpoint in checkpoints))


def _waits(run: TrainingRun) -> bool:
    waiting = {"checkpoint__run": run, "status": Status.QUEUED}
    return TestRender.objects.filter(**waiting).exists() or WeightRender.objects.filter(**waiting).exists()


def _cancel(checkpoints: list[Checkpoint]) -> str:
    n_cancelled = sum(suite.cancel(checkpoint) + weights.cancel(checkpoint) for checkpoint in checkpoints)
    return f"{n_cancelled} test picture{' was' if n_cancelled == 1 else 's were'} taken off the queue."


QUEUE_RUN = Act(
    name="queue-tests",
    label="Queue tests",
    permission=TRAIN,
    question=lambda run: _asked(_of_run(run)),
    blockers=lambda run: _blockers(_of_run(run)),
    perform=lambda run, by, given: _queue(_of_run(run), by, given),
    errors=_ERRORS,
    form=SuiteForm,
)
CANCEL_RUN = Act(
    name="cancel-tests",
    label="Cancel tests",
    permission=TRAIN,
    question=lambda run: (
        f"Take the test pictures of {run} that wait off the queue? Those that are drawn stay, one that is being drawn is "
        "finished, and all can be queued again."
    ),
    perform=lambda run, by, given: _cancel(_of_run(run)),
    offered=_waits,
)
QUEUE_EPOCH = Act(
    name="queue-tests",
    label="Queue tests",
    permission=TRAIN,
    question=lambda result: _by_rule(_of_epoch(result)),
    blockers=lambda result: _blockers(_of_epoch(result)),
    perform=lambda result, by, given: _queue(_of_epoch(result), by, given),
    errors=_ERRORS,
    form=SuiteForm,
)
REPEAT_EPOCH = Act(
    name="repeat-tests",
    label="Measure the noise",
    permission=TRAIN,
    question=lambda _: (
        "Draw the suite once more with other seeds? What differs between the two is chance: it says how big a difference "
        "between epochs must be to mean something. Once for a run is enough."
    ),
    blockers=lambda result: _blockers(_of_epoch(result)),
    perform=lambda result, by, given: _repeat(_of_epoch(result), by),
    errors=_ERRORS,
)
