"""What a person may do with a run from its page: start, cancel, close. `runs.training` does it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from punklab.acts import Act
from punklab.roles import TRAIN
from runs import training
from runs.backends.base import BackendError
from runs.controller import is_controlled
from runs.forms import CloseRunForm, RentForm
from runs.models import TrainingRun
from runs.nearest import nearest
from runs.quote import quote_for


def _start(run: TrainingRun, by: User, _: dict[str, Any]) -> str:
    job = training.start(run, by=by)
    return f"Job {job.pk} is queued: the training starts as soon as a worker is free."


def _rent(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    quote = quote_for(run, given["max_hours"])
    if quote.refusal:
        raise training.ActError(quote.refusal)
    job = training.start(run, backend="runpod", by=by, max_hours=given["max_hours"])
    return f"Job {job.pk} waits for a machine of RunPod's; this page tells how it goes on."


def _rent_question(run: TrainingRun) -> str:
    try:
        quote = quote_for(run)
        lines = [*quote.lines, *([quote.refusal] if quote.refusal else [])]
    except BackendError:
        lines = []
    ends = "Every epoch is brought here as it is written; cancelling ends the machine. The caps are in the settings."
    return "\n".join([f"Train {run.epochs or 'its'} epochs on a machine rented from RunPod?", *lines, ends])


def _rent_blockers(run: TrainingRun) -> list[str]:
    try:
        quote = quote_for(run)
    except BackendError as error:
        return [str(error)]
    found = [] if quote.offers else [quote.refusal]
    if not is_controlled():
        found.append("No controller is at work: start `manage.py controller`.")
    return found


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
        name="rent",
        label="Train on RunPod",
        permission=TRAIN,
        question=_rent_question,
        perform=_rent,
        errors=(training.ActError, BackendError),
        form=RentForm,
        initial=lambda _: {"max_hours": settings.RUNPOD_MAX_HOURS},
        offered=_may_start,
        blockers=_rent_blockers,
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
