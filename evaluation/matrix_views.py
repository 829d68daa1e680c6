"""The console's matrix: a run's epochs by prompts, beside other runs and at other LoRA weights, and what it exports."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from evaluation import convergence, full_comparison, matrix_export
from evaluation import matrix as matrices
from evaluation.baselines import baselines
from evaluation.gallery import picture_url
from evaluation.matrix_acts import CANCEL_COMPARISON, START_COMPARISON, WEIGHTS_OF_RUN
from evaluation.matrix_forms import MatrixForm
from punklab.acts import Act
from punklab.roles import VIEW_EPOCHS
from runs.models import TrainingRun
from runs.parameters import differences

MOST_CELLS = 1200  # on a page, and in what is exported from it
_NAMES_OFFERED = 200  # runs whose names the field completes


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def matrix(request: HttpRequest, pk: int) -> HttpResponse:
    """Epochs by prompts of a run and of those that the address adds."""
    run = get_object_or_404(TrainingRun, pk=pk)
    form = MatrixForm(request.GET, run=run)
    question = form.question(baselines())
    found = matrices.matrix(question, MOST_CELLS)
    runs = question.runs
    context = {
        **admin.site.each_context(request),
        "title": f"Compare the epochs of {run}",
        "run": run,
        "form": form,
        "question": question,
        "matrix": found,
        "others": runs[1:],
        "names": TrainingRun.objects.exclude(pk__in=[one.pk for one in runs]).values_list("run_name", flat=True)[
            :_NAMES_OFFERED
        ],
        "differences": differences(*runs),
        "weights": _weights(found),
        "pictures": picture_url("render", 0).removesuffix("render/0/0/"),
        "epochs": reverse("admin:evaluation_epochresult_changelist"),
        "query": request.GET.urlencode(),
        "trend": convergence.for_run(run),
        "draw": _offer(request, run, WEIGHTS_OF_RUN),
        "opts": TrainingRun._meta,
        **_job_facts(request, run),
    }
    return TemplateResponse(request, "evaluation/compare.html", context)


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the run's full comparison stands: the part of the page that moves."""
    run = get_object_or_404(TrainingRun, pk=pk)
    context = {"run": run, **_job_facts(request, run)}
    return TemplateResponse(request, "evaluation/comparison_progress.html", context)


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def export(request: HttpRequest, pk: int, kind: str) -> HttpResponseBase:
    """What the matrix shows as one file: `sheet` (PNG), `page` (HTML) or `originals` (zip)."""
    run = get_object_or_404(TrainingRun, pk=pk)
    found = matrices.matrix(MatrixForm(request.GET, run=run).question(baselines()), MOST_CELLS)
    name = f"{slugify(str(run)) or run.pk}-matrix"
    if kind == "sheet":
        return _file(HttpResponse(matrix_export.sheet_png(found), content_type="image/png"), f"{name}.png")
    if kind == "page":
        return _file(HttpResponse(matrix_export.page(found, str(run))), f"{name}.html")
    if kind == "originals":
        pieces = matrix_export.archive(found)
        return _file(StreamingHttpResponse(pieces, content_type="application/zip"), f"{name}.zip")
    raise Http404(f"There is no export {kind!r}: sheet, page and originals are possible.")


def _file(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-cache"
    return response


def _offer(request: HttpRequest, run: TrainingRun, act: Act) -> str:
    """Where the act is confirmed; empty for who may not do it."""
    may = request.user.has_perm(act.permission)
    return reverse("admin:runs_trainingrun_act", args=(run.pk, act.name)) if may else ""


def _job_facts(request: HttpRequest, run: TrainingRun) -> dict[str, Any]:
    job = full_comparison.latest(run)
    stands = full_comparison.progress(job) if job else None
    draws = stands is not None and stands.waiting > 0
    return {
        "comparison": job,
        "progress": stands,
        "start": "" if draws else _offer(request, run, START_COMPARISON),
        "cancel": _offer(request, run, CANCEL_COMPARISON) if draws else "",
    }


def _weights(found: matrices.Matrix) -> list[dict[str, list[str]]]:
    """For each row, in the page's order: each weight that can be shown in its place, and its cells' codes."""
    if len(found.weights) < 2:
        return [{} for _ in found.rows]
    return [
        {f"{weight:g}": [cell.code if cell else "" for cell in cells] for weight, cells in row.weights.items()}
        for row in found.rows
    ]
