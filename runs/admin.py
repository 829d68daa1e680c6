"""The console's pages on what was trained, on what, where. `evaluation` and `deployment` add to the run's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from punklab.acts import Act, ActsAdmin, ReadOnlyAdmin
from punklab.badges import badge
from punklab.mirrored_forms import MirroredAdmin, MirroredForm
from punklab.mirrored_imports import MirroredFilesAdmin
from runs import (
    caption_admin,  # noqa: F401 - registers its pages; Django looks into this module only
    run_facts,
)
from runs.models import (
    AdoptedPicture,
    Checkpoint,
    Controller,
    Lease,
    LossPoint,
    RunPlan,
    SavedFilter,
    TrainingJob,
    TrainingRun,
)
from runs.parameters import lines_of
from runs.resources import TrainingRunResource
from runs.run_acts import RUN_ACTS
from runs.run_creation import create_run_view
from runs.run_facts import HOURS
from runs.run_list import SavedFiltersAdmin
from runs.saved_filters import filters_for
from runs.spending import money


class TrainingRunForm(MirroredForm):
    offered: ClassVar = {"status": TrainingRun.STATUSES, "model_type": TrainingRun.MODEL_TYPES}

    class Meta:
        model = TrainingRun
        fields = "__all__"


@admin.register(TrainingRun)
class TrainingRunAdmin(SavedFiltersAdmin, ActsAdmin, MirroredAdmin, MirroredFilesAdmin):
    form = TrainingRunForm
    resource_classes = (TrainingRunResource,)
    change_form_template = "admin/runs/trainingrun_change_form.html"
    import_export_change_list_template = "admin/runs/trainingrun_change_list.html"
    acts: Sequence[Act] = RUN_ACTS
    criterion_measures: Sequence[tuple[str, str]] = ()  # key and label of what a plan's criterion may ask for
    list_display: tuple[Any, ...] = (
        "run_name",
        "status_badge",
        "verdict_badge",
        "quality_score",
        "best_epoch",
        "production_ready",
        "caption_version",
        "network_dim",
        "network_alpha",
        "learning_rate",
        "max_train_epochs",
        "hours",
        "gpu_type",
        "run_date",
    )
    list_filter: ClassVar[Any] = (
        ("status", admin.AllValuesFieldListFilter),
        ("overall_verdict", admin.AllValuesFieldListFilter),
        "production_ready",
    )
    search_fields = (
        "run_name",
        "caption_version",
        "base_model",
        "key_findings",
        "comparison_notes",
        "notes",
        "plan__hypothesis",
    )
    date_hierarchy = "run_date"
    # Written by acts and machines: together, or not at all.
    readonly_fields = (
        "overall_verdict",
        "quality_score",
        "best_epoch",
        "production_ready",
        "recommended_for",
        "created_at",
        "updated_at",
    )
    fieldsets = (
        (None, {"fields": ("run_name", "status", ("base_model", "model_type"), "notes")}),
        (
            "Verdict",
            {
                "fields": (
                    ("overall_verdict", "quality_score", "best_epoch"),
                    ("production_ready", "recommended_for"),
                    "key_findings",
                    ("issues_found", "strengths"),
                    "comparison_notes",
                )
            },
        ),
        (
            "Training data",
            {
                "classes": ("collapse",),
                "fields": (("caption_version", "caption_format", "num_images"), "training_data_path"),
            },
        ),
        (
            "Parameters",
            {
                "classes": ("collapse",),
                "fields": (
                    ("network_dim", "network_alpha", "resolution"),
                    ("learning_rate", "unet_lr", "text_encoder_lr"),
                    ("train_batch_size", "gradient_accumulation_steps", "mixed_precision"),
                    ("max_train_epochs", "total_steps"),
                    ("optimizer_type", "lr_scheduler", "lr_scheduler_cycles"),
                    ("noise_offset", "min_snr_gamma"),
                    "all_parameters",
                ),
            },
        ),
        (
            "Machine",
            {
                "classes": ("collapse",),
                "fields": (
                    ("platform", "gpu_type", "training_duration_hours"),
                    ("output_dir", "output_name", "checkpoint_file_size_mb"),
                    ("run_date", "created_at", "updated_at"),
                ),
            },
        ),
    )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return create_run_view(self, request, self.criterion_measures)

    def get_readonly_fields(self, request: HttpRequest, obj: TrainingRun | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        working = obj is not None and obj.jobs.unfinished().exists()
        return (*fields, "status") if working else fields

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        jobs = list(run.jobs.select_related("by")[:5]) if run is not None else []
        facts: dict[str, Any] = {"jobs": jobs, "is_working": any(job.status not in TrainingJob.FINAL for job in jobs)}
        given = extra_context or {}
        if run is not None:
            facts |= {
                "plan": given["plan"] if "plan" in given else run_facts.plan_of(run),
                "captions": given["captions"] if "captions" in given else run_facts.captions_of(run),
                "curve": run_facts.curve_of(run),
                "cost": (cost := run_facts.cost_of(run)),
                "rented": run_facts.rented_of(run) if cost.is_rented else None,
                "copies": run.copies.select_related("run")[:20],
                "parameters": lines_of(run),
            }
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        found: QuerySet[TrainingRun] = super().get_queryset(request).annotate(cost_hours=HOURS)
        return found

    @admin.display(description="hours", ordering=Coalesce("cost_hours", Value(-1.0)))
    def hours(self, run: TrainingRun) -> str:
        hours: float | None = run.cost_hours  # type: ignore[attr-defined]
        return "–" if hours is None else f"{hours:.2f}"

    @admin.display(description="status", ordering="status")
    def status_badge(self, run: TrainingRun) -> SafeString | str:
        return badge(run.status)

    @admin.display(description="verdict", ordering="overall_verdict")
    def verdict_badge(self, run: TrainingRun) -> SafeString | str:
        return badge(run.overall_verdict)


@admin.register(RunPlan)
class RunPlanAdmin(ReadOnlyAdmin, admin.ModelAdmin[RunPlan]):
    list_display = ("run", "parent", "hypothesis", "is_met", "outcome", "by", "created_at")
    list_select_related = ("run", "parent", "by")
    list_filter = ("is_met",)
    search_fields = ("run__run_name", "parent__run_name", "hypothesis")
    date_hierarchy = "created_at"


@admin.register(SavedFilter)
class SavedFilterAdmin(ReadOnlyAdmin, admin.ModelAdmin[SavedFilter]):
    list_display = ("name", "query", "is_shared", "by", "created_at")
    list_select_related = ("by",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedFilter]:
        assert isinstance(request.user, User)
        return filters_for(request.user)


@admin.register(LossPoint)
class LossPointAdmin(ReadOnlyAdmin, admin.ModelAdmin[LossPoint]):
    list_display = ("job", "step", "epoch", "loss")
    list_select_related = ("job__run",)
    search_fields = ("job__run__run_name",)


@admin.register(TrainingJob)
class TrainingJobAdmin(ReadOnlyAdmin, admin.ModelAdmin[TrainingJob]):
    list_display = ("__str__", "run", "status_badge", "progress", "loss", "by", "queued_at", "message")
    list_filter = ("status", "backend")
    list_select_related = ("run", "by")
    search_fields = ("run__run_name", "message")
    date_hierarchy = "queued_at"

    @admin.display(description="status", ordering="status")
    def status_badge(self, job: TrainingJob) -> SafeString | str:
        return badge(job.status)

    @admin.display(description="progress")
    def progress(self, job: TrainingJob) -> SafeString:
        return format_html(
            '<progress max="1" value="{}">{} %</progress> {}/{}',
            f"{job.share:.3f}",
            round(100 * job.share),
            job.step,
            job.total_steps,
        )


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin, admin.ModelAdmin[Lease]):
    list_display = ("name", "run", "state_badge", "gpu", "data_center", "hours", "cost", "reason", "created_at")
    list_filter = ("state", "gpu", "data_center")
    list_select_related = ("job__run",)
    search_fields = ("name", "machine", "job__run__run_name", "reason")
    date_hierarchy = "created_at"

    @admin.display(description="run", ordering="job__run__run_name")
    def run(self, lease: Lease) -> str:
        return str(lease.job.run)

    @admin.display(description="state", ordering="state")
    def state_badge(self, lease: Lease) -> SafeString | str:
        return badge(lease.state, lease.get_state_display())

    @admin.display(description="hours")
    def hours(self, lease: Lease) -> str:
        return f"{lease.hours():.2f}"

    @admin.display(description="cost")
    def cost(self, lease: Lease) -> str:
        return money(lease.cost())


@admin.register(Controller)
class ControllerAdmin(ReadOnlyAdmin, admin.ModelAdmin[Controller]):
    list_display = ("__str__", "ticked_at", "trouble", "not_ours")

    @admin.display(description="machines that are not ours")
    def not_ours(self, row: Controller) -> str:
        told = (f"{each['name']} ({each['phase']}, {each['price']} USD an hour)" for each in row.foreign)
        return ", ".join(told) or "none"


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin, admin.ModelAdmin[Checkpoint]):
    list_display = ("__str__", "run", "epoch", "source", "file_size", "base_model", "created_at")
    list_filter = ("source",)
    list_select_related = ("run",)
    search_fields = ("run__run_name", "original_name", "sha256")
    date_hierarchy = "created_at"

    @admin.display(description="size", ordering="size")
    def file_size(self, checkpoint: Checkpoint) -> str:
        return filesizeformat(checkpoint.size)


@admin.register(AdoptedPicture)
class AdoptedPictureAdmin(ReadOnlyAdmin, admin.ModelAdmin[AdoptedPicture]):
    list_display = ("original_name", "run", "epoch", "width", "height", "created_at")
    list_select_related = ("run",)
    search_fields = ("run__run_name", "original_name", "sha256")
