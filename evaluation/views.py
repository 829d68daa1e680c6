"""The console's own pages on epochs: pictures, one epoch after the other to score, a run's epochs side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from evaluation import agreement, comparison, convergence, scoring, suggestions
from evaluation.forms import ScoreForm
from evaluation.gallery import card_of, render_picture
from evaluation.models import EpochResult, PromptTestResult, TestRender
from punklab import pictures
from punklab.diffusion.base import BaseError
from punklab.roles import REVIEWER, SCORE
from runs.models import AdoptedPicture, TrainingRun

VIEW = "evaluation.view_epochresult"

# Kind of picture to the path that its row names; rows that are ours never change theirs.
_PATHS: dict[str, Callable[[int, int], str | None]] = {
    "render": lambda pk, _: get_object_or_404(TestRender, pk=pk).finished,
    "raw": lambda pk, _: get_object_or_404(TestRender, pk=pk).raw,
    "adopted": lambda pk, _: get_object_or_404(AdoptedPicture, pk=pk).file,
    "result": lambda pk, _: get_object_or_404(PromptTestResult, pk=pk).image_path,
    "epoch": lambda pk, index: dict(enumerate(get_object_or_404(EpochResult, pk=pk).test_image_paths or [])).get(index),
}
_OURS = {"render", "raw", "adopted"}


@require_safe
@permission_required(VIEW, raise_exception=True)
def picture(request: HttpRequest, kind: str, pk: int, index: int) -> HttpResponse:
    """A picture that a row names, where it lies in this site's storage."""
    if kind not in _PATHS:
        raise Http404(f"There are no pictures of the kind {kind!r}.")
    response = pictures.from_row(_PATHS[kind](pk, index))
    if kind not in _OURS:
        response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
@permission_required(VIEW, raise_exception=True)
def review(request: HttpRequest) -> HttpResponse:
    """Lead to the next epoch that awaits scores, after the one named by `after`; back to the list after the last."""
    waiting = _waiting()
    after = request.GET.get("after", "")
    passed = next((place for place, pk in enumerate(waiting, start=1) if str(pk) == after), 0)
    following = waiting[passed:]
    if following:
        return HttpResponseRedirect(reverse("evaluation:review_epoch", args=(following[0],)))
    left = f"{len(waiting)} still wait{'s' if len(waiting) == 1 else ''}." if waiting else "No epoch waits for scores."
    messages.info(request, f"That was the last one. {left}" if after else left)
    return HttpResponseRedirect(reverse("admin:evaluation_epochresult_changelist"))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def review_epoch(request: HttpRequest, pk: int) -> HttpResponse:
    """One epoch with its pictures and score fields; a POST scores it and goes on."""
    result = get_object_or_404(EpochResult.objects.select_related("training_run"), pk=pk)
    may_score = request.user.has_perm(SCORE)
    form = ScoreForm(request.POST if request.method == "POST" else None, result=result)
    if request.method == "POST":
        if not may_score:
            raise PermissionDenied(f"Scoring needs the role {REVIEWER}.")
        waiting = _waiting()
        if form.is_valid() and _score(request, result, form):
            return HttpResponseRedirect(_next_page(request, result, waiting))
    card = card_of(result)
    waiting = _waiting()
    context = {
        **admin.site.each_context(request),
        "title": f"Score {result}",
        "result": result,
        "card": card,
        "form": form,
        "may_score": may_score,
        "n_waiting": len(waiting),
        "waits": result.pk in waiting,
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "evaluation/review.html", context)


@require_safe
@permission_required(VIEW, raise_exception=True)
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """The base model and each epoch of a run, prompt by prompt."""
    run = get_object_or_404(TrainingRun, pk=pk)
    rows: list[dict[str, Any]] = []
    prompts: list[Any] = []
    problem = ""
    try:
        found = comparison.compare(run)
    except BaseError as error:
        problem = str(error)
    else:
        prompts = list(found.prompts)
        rows = [
            {"row": row, "cells": [render and render_picture(render) for render in row.renders]} for row in found.rows
        ]
    context = {
        **admin.site.each_context(request),
        "title": f"Compare the epochs of {run}",
        "run": run,
        "prompts": prompts,
        "rows": rows,
        "problem": problem,
        "trend": convergence.for_run(run),
        "opts": TrainingRun._meta,
    }
    return TemplateResponse(request, "evaluation/compare.html", context)


@require_safe
@permission_required(VIEW, raise_exception=True)
def measures(request: HttpRequest) -> HttpResponse:
    """How often each measure agreed with people's scores, and where suggested scores come from."""
    history = agreement.history()
    target = request.GET.get("score", "average")
    if target not in agreement.TARGETS:
        raise Http404(f"There is no score {target!r}.")
    context = {
        **admin.site.each_context(request),
        "title": "How measures agree with people",
        "agreements": sorted(history.agreements(target), key=lambda each: (not each.is_trusted, -(each.share or 0))),
        "target": target,
        "targets": [(name, scoring.NAMES.get(name, "average")) for name in agreement.TARGETS],
        "n_epochs": len(history.epochs),
        "most_epochs": agreement.MOST_EPOCHS,
        "fewest_epochs": agreement.FEWEST_EPOCHS,
        "fewest_to_fit": suggestions.FEWEST_EPOCHS,
        "fits": [(name, suggestions.fit_of(history, column)) for column, name in scoring.NAMES.items()],
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "evaluation/measures.html", context)


def _waiting() -> list[int]:
    waiting = EpochResult.objects.awaiting_scores().order_by("training_run_id", "epoch_number", "pk")
    return list(waiting.values_list("pk", flat=True))


def _score(request: HttpRequest, result: EpochResult, form: ScoreForm) -> bool:
    assert isinstance(request.user, User)
    given = form.cleaned_data
    try:
        row = scoring.score(
            result,
            given["visual"],
            given["style"],
            given["prompt"],
            given["observations"],
            by=request.user,
            issues=given["issues"],
            strengths=given["strengths"],
        )
    except scoring.ScoringError as error:
        form.add_error(None, error.problems)
        return False
    messages.success(request, f"{result}: {given['visual']}, {given['style']}, {given['prompt']}, so {row.verdict}.")
    return True


def _next_page(request: HttpRequest, result: EpochResult, waiting: list[int]) -> str:
    if request.POST.get("back") == "run" and result.training_run_id:
        return f"{reverse('admin:runs_trainingrun_change', args=(result.training_run_id,))}#epoch-{result.epoch_number}"
    later = waiting[waiting.index(result.pk) + 1 :] if result.pk in waiting else []
    return reverse("evaluation:review_epoch", args=(later[0],)) if later else reverse("evaluation:review")
