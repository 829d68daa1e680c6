"""The console's own pages on epochs: pictures, how far measures agree with people."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from evaluation import agreement, marks, scoring, suggestions
from evaluation.matrix_models import WeightRender
from evaluation.models import EpochResult, PromptTestResult, TestRender
from punklab import pictures
from punklab.roles import VIEW_EPOCHS
from runs.models import AdoptedPicture

# Kind of picture to the path that its row names; rows that are ours never change theirs.
_PATHS: dict[str, Callable[[int, int], str | None]] = {
    "render": lambda pk, _: get_object_or_404(TestRender, pk=pk).finished,
    "raw": lambda pk, _: get_object_or_404(TestRender, pk=pk).raw,
    "weight": lambda pk, _: get_object_or_404(WeightRender, pk=pk).finished,
    "weight-raw": lambda pk, _: get_object_or_404(WeightRender, pk=pk).raw,
    "adopted": lambda pk, _: get_object_or_404(AdoptedPicture, pk=pk).file,
    "result": lambda pk, _: get_object_or_404(PromptTestResult, pk=pk).image_path,
    "epoch": lambda pk, index: dict(enumerate(get_object_or_404(EpochResult, pk=pk).test_image_paths or [])).get(index),
}
_OURS = {"render", "raw", "weight", "weight-raw", "adopted"}


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def picture(request: HttpRequest, kind: str, pk: int, index: int) -> HttpResponse:
    """A picture that a row names, where it lies in this site's storage."""
    if kind not in _PATHS:
        raise Http404(f"There are no pictures of the kind {kind!r}.")
    response = pictures.from_row(_PATHS[kind](pk, index))
    if kind not in _OURS:
        response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
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
        "seen": marks.seen(),
        "fits": [(name, suggestions.fit_of(history, column)) for column, name in scoring.NAMES.items()],
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "evaluation/measures.html", context)
