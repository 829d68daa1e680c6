"""The console's page on whether an epoch is ready for the public, and the way there."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from deployment import promotion
from deployment.gate import rival
from deployment.judgement import Judged
from deployment.readiness import checklist
from evaluation.models import EpochResult
from punklab.roles import PROMOTE


@require_safe
@permission_required("evaluation.view_epochresult", raise_exception=True)
def ready(request: HttpRequest, pk: int) -> HttpResponse:
    """The checklist of an epoch, what stands in the way of its promotion, and the promotion for who may."""
    assert isinstance(request.user, User)
    result = get_object_or_404(EpochResult.objects.select_related("training_run"), pk=pk)
    judged = Judged(result)
    context = {
        **admin.site.each_context(request),
        "title": "Production readiness",
        "subtitle": str(result),
        "result": result,
        "found": checklist(judged, request.user),
        "doubts": promotion.doubts(result),
        "faults": promotion.faults(result),
        "gate": settings.PROMOTION_GATE,
        "rival": rival(),
        "may_promote": request.user.has_perm(PROMOTE) and result.training_run_id is not None,
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "deployment/ready.html", context)
