"""The lists of what people decided about runs: patience and best epochs. Only acts write them."""

from __future__ import annotations

from django.contrib import admin

from evaluation.trend_models import BestEpochChoice, RunPatience
from punklab.acts import ReadOnlyAdmin


@admin.register(RunPatience)
class RunPatienceAdmin(ReadOnlyAdmin, admin.ModelAdmin[RunPatience]):
    list_display = ("run", "below_best", "falls", "falls_from", "by", "updated_at")
    list_select_related = ("run", "by")
    search_fields = ("run__run_name",)


@admin.register(BestEpochChoice)
class BestEpochChoiceAdmin(ReadOnlyAdmin, admin.ModelAdmin[BestEpochChoice]):
    list_display = ("__str__", "reason", "by", "created_at")
    list_select_related = ("run", "epoch_result", "by")
    search_fields = ("run__run_name", "reason", "by__username")
    date_hierarchy = "created_at"
