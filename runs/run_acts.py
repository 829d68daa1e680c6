"""What a person may do with a run from its page: create, start, cancel, close. `runs.training` does it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from punklab.acts import Act
from punklab.roles import OPERATOR, TRAIN
from runs import training
from runs.config import parameters_of, write_config
from runs.forms import CloseRunForm, CreateRunForm
from runs.models import CaptionVersion, TrainingRun
from runs.package import REPEATS


def create_run_view(console: ModelAdmin[TrainingRun], request: HttpRequest) -> HttpResponse:
    """Ask for name, captions and config; create the run on POST."""
    if not console.has_add_permission(request):
        raise PermissionDenied(f"Creating a run needs the role {OPERATOR}.")
    form = CreateRunForm(request.POST if request.method == "POST" else None, initial=_like(request.GET.get("like", "")))
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        given = form.cleaned_data
        try:
            run = training.create_run(
                given["name"],
                captions=given["captions"],
                config_text=given["config_text"],
                base=given["base"] or None,
                by=request.user,
            )
        except training.ActError as error:
            form.add_error(None, str(error))
        else:
            console.log_addition(request, run, "Created.")
            messages.success(request, f"{run} was created. Nothing runs yet: start it when you are ready.")
            return HttpResponseRedirect(reverse("admin:runs_trainingrun_change", args=(run.pk,)))
    context = {
        **console.admin_site.each_context(request),
        "title": "Create a training run",
        "opts": console.opts,
        "form": form,
        "act": {"label": "Create run"},
        "question": f"Nothing runs before you start it. This site's base model: {settings.BASE_MODEL}.",
        "back": reverse("admin:runs_trainingrun_changelist"),
    }
    return TemplateResponse(request, "admin/act.html", context)


def _like(pk: str) -> dict[str, Any]:
    """Return captions, base and config of an existing run, to change a thing or two; nothing where there is none."""
    run = TrainingRun.objects.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 10 else None
    if run is None:
        return {}
    values = parameters_of(model_to_dict(run) | {"all_parameters": run.all_parameters or {}})
    values.pop(REPEATS, None)  # ours, not kohya's
    return {
        "captions": CaptionVersion.objects.filter(version_name=run.caption_version).first(),
        "base": run.base_model,
        "config_text": write_config(values),
    }


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
    return (
        f"Train {epochs} of {run.caption_version or 'its captions'} on {run.base_model}, on this machine? "
        "It goes on while you are away, survives a restart, and can be cancelled; epochs are kept as they come."
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
