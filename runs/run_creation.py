"""The page that creates a run: from nothing, or as a copy of another whose changes are named."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from punklab.roles import OPERATOR
from runs.forms import CopyRunForm, CreateRunForm
from runs.models import CaptionVersion, TrainingRun
from runs.nearest import Near, nearest
from runs.package import repeats_of
from runs.parameters import lines_of
from runs.plans import Intent, PlanError, config_like, create_planned, with_changes
from runs.training import ActError


def create_run_view(
    console: ModelAdmin[TrainingRun], request: HttpRequest, measures: Sequence[tuple[str, str]] = ()
) -> HttpResponse:
    """Ask for name, captions, config and plan; show how the nearest past runs ended; create the run on POST.

    `measures`: key and label of what a criterion may ask for."""
    if not console.has_add_permission(request):
        raise PermissionDenied(f"Creating a run needs the role {OPERATOR}.")
    like = request.GET.get("like", "")
    parent = TrainingRun.objects.filter(pk=like).first() if like.isdecimal() and len(like) < 10 else None
    given = request.POST if request.method == "POST" else None
    form = (
        CopyRunForm(given, initial=_like(parent), measures=measures, parent=parent)
        if parent
        else CreateRunForm(given, measures=measures)
    )
    near: Sequence[Near] = nearest(_draft(parent)) if parent else []
    changes: dict[str, Any] | None = None
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        try:
            run = _create(form, parent, request.user)
        except PlanError as error:
            near, changes = error.near, dict(error.changes)
            shown = request.POST.copy()
            shown["seen"] = ",".join(str(one.run.pk) for one in near)
            form.data = shown
            form.add_error(None, error.problems)
        except ActError as error:
            form.add_error(None, str(error))
        else:
            console.log_addition(request, run, "Created.")
            messages.success(request, f"{run} was created. Nothing runs yet: start it when you are ready.")
            return HttpResponseRedirect(reverse("admin:runs_trainingrun_change", args=(run.pk,)))
    context = {
        **console.admin_site.each_context(request),
        "title": f"Create a run like {parent}" if parent else "Create a training run",
        "opts": console.opts,
        "form": form,
        "parent": parent,
        "parameters": lines_of(parent) if parent else [],
        "changes": changes,
        "near": near,
        "base_model": settings.BASE_MODEL,
        "back": reverse("admin:runs_trainingrun_changelist"),
    }
    return TemplateResponse(request, "admin/runs/create_run.html", context)


def _draft(parent: TrainingRun) -> TrainingRun:
    """A row like the parent's, not saved: the parent itself is the nearest past run of its copies."""
    draft = copy(parent)
    draft.pk = None
    return draft


def _like(parent: TrainingRun) -> dict[str, Any]:
    """Captions, base and config of the parent, to change a thing."""
    return {
        "captions": CaptionVersion.objects.filter(version_name=parent.caption_version).first(),
        "base": parent.base_model,
        "config_text": config_like(parent),
    }


def _create(form: CreateRunForm, parent: TrainingRun | None, by: User) -> TrainingRun:
    given = form.cleaned_data
    intent = Intent(
        parent=parent,
        starting_checkpoint=given.get("starting_checkpoint"),
        hypothesis=given.get("hypothesis", ""),
        criterion=form.criterion,
        reason_for_several=given.get("reason_for_several", ""),
        reason_despite_failures=given["reason_despite_failures"],
        seen=given["seen"],
    )
    return create_planned(
        given["name"],
        intent,
        captions=given["captions"],
        config_text=with_changes(given["config_text"], given.get("changes", "")),
        base=given["base"] or None,
        repeats=repeats_of(parent) if parent else 1,
        by=by,
    )
