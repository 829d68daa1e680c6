"""What a person may do with a run from its page: start, cancel, close. `runs.training` does it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from punklab.acts import Act
from punklab.roles import TRAIN
from runs import training
from runs.forms import CloseRunForm
from runs.models import TrainingRun
from runs.nearest import nearest


def _start(run: TrainingRun, by: User, _: dict[str, Any]) -> str:
    job = training.start(run, by=by)
    return f"Job {job.pk} is queued: the training starts as soon as a worker is free."


def _cancel(run: TrainingRun, by: User, _: dict[str, Any]) -> str:
    return str(training.cancel(run, by=by).message)


def _close(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    verdict = given.pop("verdict")
    training.close(run, verdict, by=by, **given)
    return f"{run} is closed as {verdict}."


def _is_working(run: TrainingRun) -> bool:
    return run.jobs.unfinished().exists()


def _may_start(run: TrainingRun) -> bool:
    is_over = run.status == "completed" or run.overall_verdict in training.VERDICTS or run.model_type == "SDXL"
    return not is_over and not _is_working(run)


def _start_question(run: TrainingRun) -> str:
    epochs = f"{run.epochs} epochs" if run.epochs else "its epochs"
    ends = "; ".join(near.sentence for near in nearest(run))
    return (
        f"Train {epochs} of {run.caption_version or 'its captions'} on {run.base_model}, on this machine? "
        "It goes on while you are away, survives a restart, and can be cancelled; epochs are kept as they come."
        + (f"\nThe nearest past runs: {ends}." if ends else "")
    )


RUN_ACTS = (
    Act(
        name="start",
        label="Start training",
        permission=TRAIN,
        question=_start_question,
        perform=_start,
        errors=(training.ActError,),
        offered=_may_start,
    ),
    Act(
        name="cancel",
        label="Cancel training",
        permission=TRAIN,
        question=lambda run: f"End the training of {run}? Epochs that are saved stay, and it can be started again.",
        perform=_cancel,
        errors=(training.ActError,),
        offered=_is_working,
        is_grave=True,
    ),
    Act(
        name="close",
        label="Close with a verdict",
        permission=TRAIN,
        question=lambda run: (
            f"Write your verdict on {run}. Status, verdict, score and best epoch are written together."
        ),
        perform=_close,
        errors=(training.ActError,),
        form=CloseRunForm,
        initial=lambda run: {"quality_score": run.quality_score, "best_epoch": run.best_epoch},
        offered=lambda run: not _is_working(run),
    ),
)
