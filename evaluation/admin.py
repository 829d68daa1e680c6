"""The console's pages on how good it is. The run's page gains its epochs, with pictures and scores, here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from import_export.admin import ImportExportModelAdmin

from evaluation import convergence
from evaluation.epoch_acts import QUEUE_EPOCH, QUEUE_RUN
from evaluation.forms import ScoreForm
from evaluation.gallery import card_of, cards_of, picture_url, render_picture
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, SuitePrompt, TestPrompt, TestRender
from evaluation.resources import EpochResultResource, PromptTestResultResource, TestPromptResource
from punklab.acts import Act, ActsAdmin, ReadOnlyAdmin
from punklab.badges import badge
from punklab.mirrored_forms import MirroredAdmin, MirroredForm
from punklab.roles import SCORE
from runs.admin import TrainingRunAdmin
from runs.models import TrainingRun

admin.site.unregister(TrainingRun)


@admin.register(TrainingRun)
class EvaluatedRunAdmin(TrainingRunAdmin):
    """The run's page with its epochs; `runs` knows nothing of them."""

    change_form_template = "admin/evaluation/trainingrun_change_form.html"
    acts = (*TrainingRunAdmin.acts, QUEUE_RUN)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        facts: dict[str, Any] = {}
        if run is not None:
            may_score = request.user.has_perm(SCORE)
            epochs = self.admin_site.get_model_admin(EpochResult)
            cards = cards_of(run)
            for card in cards:
                if card.result is not None and isinstance(epochs, ActsAdmin):
                    card.acts = epochs.offers(request, card.result)
            facts = {
                "cards": [
                    (card, ScoreForm(result=card.result) if card.result and may_score else None) for card in cards
                ],
                "trend": convergence.for_run(run),
            }
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})


class WhoScored(admin.SimpleListFilter):
    title = "scores"
    parameter_name = "scores"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("awaiting", "awaiting scores"), ("person", "by a person"), ("machine", "by a script")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[EpochResult]) -> QuerySet[EpochResult]:
        if self.value() == "awaiting":
            return queryset.filter(visual_quality_score=None, num_test_images__gt=0)
        by_script = {"observations__istartswith": "auto-scored"}
        if self.value() == "machine":
            return queryset.filter(**by_script)
        if self.value() == "person":
            return queryset.exclude(visual_quality_score=None).exclude(**by_script)
        return queryset


class EpochResultForm(MirroredForm):
    class Meta:
        model = EpochResult
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        key = {name: cleaned.get(name, getattr(self.instance, name)) for name in ("training_run", "epoch_number")}
        others = EpochResult.objects.exclude(pk=self.instance.pk)
        if None not in key.values() and others.filter(**key).exists():
            self.add_error("epoch_number", f"{key['training_run']} has a row for epoch {key['epoch_number']} already.")
        return cleaned


@admin.register(EpochResult)
class EpochResultAdmin(ActsAdmin, MirroredAdmin, ImportExportModelAdmin):
    form = EpochResultForm
    resource_classes = (EpochResultResource,)
    import_export_change_list_template = "admin/evaluation/epochresult_change_list.html"
    change_form_template = "admin/evaluation/epochresult_change_form.html"
    acts: Sequence[Act] = (QUEUE_EPOCH,)
    list_display = ("picture", "__str__", "scores", "verdict_badge", "scored_by", "num_test_images", "production_ready")
    list_display_links = ("__str__",)
    list_select_related = ("training_run",)
    list_filter = (WhoScored, ("verdict", admin.AllValuesFieldListFilter), "production_ready", "is_photorealistic")
    list_per_page = 50
    search_fields = ("training_run__run_name", "observations", "notes")
    raw_id_fields = ("training_run",)
    # Scores go through the score fields; the rest is what machines wrote.
    readonly_fields = (
        "visual_quality_score",
        "style_match_score",
        "prompt_adherence_score",
        "verdict",
        "production_ready",
        "checkpoint_path",
        "checkpoint_file_size_mb",
        "test_output_dir",
        "num_test_images",
        "test_image_paths",
        "quantitative_metrics",
        "diagnosed_issues",
        "created_at",
    )
    fieldsets = (
        (None, {"fields": (("training_run", "epoch_number"),)}),
        (
            "Scores",
            {
                "fields": (
                    ("visual_quality_score", "style_match_score", "prompt_adherence_score"),
                    ("verdict", "production_ready"),
                )
            },
        ),
        (
            "What was seen",
            {
                "fields": (
                    "observations",
                    ("issues_detail", "strengths_detail"),
                    ("has_wrong_backgrounds", "has_wrong_colors", "has_random_pixels"),
                    ("is_photorealistic", "is_overtrained"),
                    "comparison_to_previous",
                    "recommendations",
                    "notes",
                )
            },
        ),
        (
            "Measures and files",
            {
                "classes": ("collapse",),
                "fields": (
                    "quantitative_metrics",
                    "diagnosed_issues",
                    ("checkpoint_path", "checkpoint_file_size_mb"),
                    ("test_output_dir", "num_test_images"),
                    "test_image_paths",
                    "created_at",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[EpochResult]:
        drawn = (
            PromptTestResult.objects.select_related("render").filter(render__isnull=False).order_by("render__priority")
        )
        return super().get_queryset(request).prefetch_related(Prefetch("prompt_results", drawn, to_attr="drawn"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        result = self.get_object(request, object_id)
        facts = {"card": card_of(result)} if result is not None else {}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    @admin.display(description="")
    def picture(self, result: EpochResult) -> SafeString | str:
        drawn: list[PromptTestResult] = result.drawn  # type: ignore[attr-defined]
        return render_thumbnail(drawn[0].render) if drawn else ""

    @admin.display(description="scores")
    def scores(self, result: EpochResult) -> str:
        if result.average is None:
            return "–"
        given = ", ".join(str(getattr(result, name)) for name in EpochResult.SCORES)
        return f"{given} ({result.average:.1f})"

    @admin.display(description="verdict", ordering="verdict")
    def verdict_badge(self, result: EpochResult) -> SafeString | str:
        return badge(result.verdict)

    @admin.display(description="scored by")
    def scored_by(self, result: EpochResult) -> str:
        if result.average is None:
            return ""
        return "a script" if result.is_machine_scored else "a person"


def render_thumbnail(render: TestRender) -> SafeString | str:
    """Return the <img> of a test render, or its status while there is none. Asks the database for nothing."""
    if not render.finished:
        return badge(render.status)
    url = picture_url("render", render.pk)
    return format_html('<img class="punk" src="{}" width="72" height="72" alt="" loading="lazy">', url)


class TestPromptForm(MirroredForm):
    class Meta:
        model = TestPrompt
        fields = "__all__"


@admin.register(TestPrompt)
class TestPromptAdmin(MirroredAdmin, ImportExportModelAdmin):
    form = TestPromptForm
    resource_classes = (TestPromptResource,)
    list_display = ("prompt_name", "position", "purpose", "prompt_text")
    list_select_related = ("place",)
    search_fields = ("prompt_name", "prompt_text", "purpose")
    readonly_fields = ("created_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: TestPrompt | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        used = obj is not None and (obj.test_renders.exists() or obj.results.exists())
        # Pictures were judged by its words: another wording is another prompt.
        return (*fields, "prompt_text", "negative_prompt") if used else fields

    @admin.display(description="place in the suite", ordering="place__position")
    def position(self, prompt: TestPrompt) -> str:
        place = getattr(prompt, "place", None)
        return "–" if place is None else "retired" if place.retired_at else str(place.position)


@admin.register(SuitePrompt)
class SuitePromptAdmin(admin.ModelAdmin[SuitePrompt]):
    list_display = ("position", "test_prompt", "seed", "retired_at")
    list_display_links = ("test_prompt",)
    list_select_related = ("test_prompt",)
    search_fields = ("test_prompt__prompt_name",)
    autocomplete_fields = ("test_prompt",)


class PromptTestResultForm(MirroredForm):
    scores = ("score",)

    class Meta:
        model = PromptTestResult
        fields = "__all__"


@admin.register(PromptTestResult)
class PromptTestResultAdmin(MirroredAdmin, ImportExportModelAdmin):
    form = PromptTestResultForm
    resource_classes = (PromptTestResultResource,)
    list_display = (
        "picture",
        "__str__",
        "passed",
        "correct_background_color",
        "correct_hair_color",
        "is_pixel_art",
        "score",
    )
    list_display_links = ("__str__",)
    list_select_related = ("epoch_result__training_run", "test_prompt", "render")
    list_filter = ("passed", "correct_background_color", "correct_hair_color", "is_pixel_art")
    list_per_page = 50
    search_fields = ("epoch_result__training_run__run_name", "test_prompt__prompt_name", "observations")
    raw_id_fields = ("epoch_result", "test_prompt")
    readonly_fields = ("picture", "image_path", "created_at")

    @admin.display(description="")
    def picture(self, result: PromptTestResult) -> SafeString | str:
        render = getattr(result, "render", None)
        return render_thumbnail(render) if render is not None else ""


@admin.register(TestRender)
class TestRenderAdmin(ReadOnlyAdmin, admin.ModelAdmin[TestRender]):
    list_display = ("picture", "__str__", "status_badge", "seconds", "device", "queued_at", "message")
    list_display_links = ("__str__",)
    list_select_related = ("checkpoint__run", "test_prompt")
    list_filter = ("status", "device")
    list_per_page = 50
    search_fields = ("checkpoint__run__run_name", "test_prompt__prompt_name", "message")
    date_hierarchy = "queued_at"
    readonly_fields = ("large_picture",)

    @admin.display(description="")
    def picture(self, render: TestRender) -> SafeString | str:
        return render_thumbnail(render)

    @admin.display(description="picture")
    def large_picture(self, render: TestRender) -> SafeString | str:
        shown = render_picture(render)
        if shown.url is None:
            return shown.words
        return format_html('<img class="punk" src="{}" width="240" height="240" alt="{}">', shown.url, shown.prompt)

    @admin.display(description="status", ordering="status")
    def status_badge(self, render: TestRender) -> SafeString | str:
        return badge(render.status)


@admin.register(ScoreEntry)
class ScoreEntryAdmin(ReadOnlyAdmin, admin.ModelAdmin[ScoreEntry]):
    list_display = ("epoch_result", *EpochResult.SCORES, "verdict", "source", "by", "created_at")
    list_select_related = ("epoch_result__training_run", "by")
    list_filter = ("source",)
    search_fields = ("epoch_result__training_run__run_name", "observations", "by__username")
    date_hierarchy = "created_at"
