"""The page of a run's trend, and reports to keep, below /console/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from evaluation import simulation
from evaluation.report import ReportError, file_name, report_of
from evaluation.trend import MOST_MEASURES, trend_of
from punklab.acts import ActsAdmin
from punklab.roles import VIEW_EPOCHS
from runs.models import TrainingRun

_OFFERED_HERE = ("choose-best", "patience")


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def trend(request: HttpRequest, pk: int) -> HttpResponse:
    """Curves of a run's scores and of the measures chosen, its issues by epoch, where it is heading and its best epoch."""
    run = get_object_or_404(TrainingRun, pk=pk)
    chosen = request.GET.getlist("measure") if "chosen" in request.GET else None
    runs = admin.site.get_model_admin(TrainingRun)
    offers = runs.offers(request, run) if isinstance(runs, ActsAdmin) else []
    context = {
        **admin.site.each_context(request),
        "title": f"Trend of {run}",
        "run": run,
        "trend": trend_of(run, chosen),
        "acts": [offer for offer in offers if offer["name"] in _OFFERED_HERE],
        "most_measures": MOST_MEASURES,
        "simulated": simulation.costs(),
        "opts": TrainingRun._meta,
    }
    return TemplateResponse(request, "evaluation/trend.html", context)


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """The report on a run, or on the epoch asked for, as a file to keep."""
    run = get_object_or_404(TrainingRun, pk=pk)
    asked = request.GET.get("epoch", "")
    if asked and not asked.isdecimal():
        raise Http404(f"{asked!r} is no epoch.")
    epoch = int(asked) if asked else None
    try:
        page = report_of(run, epoch)
    except ReportError as error:
        raise Http404(str(error)) from error
    return HttpResponse(page, headers={"Content-Disposition": f'attachment; filename="{file_name(run, epoch)}"'})
