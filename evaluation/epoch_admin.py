"""The console's pages on epochs and on what was said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from evaluation import epochs as epochs_measured
from evaluation import picture_reviews
from evaluation.epoch_acts import QUEUE_EPOCH, REPEAT_EPOCH
from evaluation.gallery import card_of
from evaluation.matrix_acts import WEIGHTS_OF_EPOCH
from evaluation.models import EpochResult, EpochResultQuerySet, PictureReview, PromptTestResult, ScoreEntry
from evaluation.prompt_admin import thumbnail
from evaluation.renderjob import Status
from evaluation.resources import EpochResultResource
from punklab.acts import Act, ActsAdmin, ReadOnlyAdmin
from punklab.badges import badge
from punklab.history import Event
from punklab.mirrored_forms import MirroredAdmin, MirroredForm
from punklab.mirrored_imports import MirroredFilesAdmin


class WhoScored(admin.SimpleListFilter):
    title = "scores"
    parameter_name = "scores"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("awaiting", "awaiting scores"), ("person", "by a person"), ("machine", "by a script")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[EpochResult]) -> QuerySet[EpochResult]:
        assert isinstance(queryset, EpochResultQuerySet)
        if self.value() == "awaiting":
            return queryset.awaiting_scores()
        if self.value() == "machine":
            return queryset.machine_scored()
        if self.value() == "person":
            return queryset.scored().exclude(pk__in=queryset.machine_scored())
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
class EpochResultAdmin(ActsAdmin, MirroredAdmin, MirroredFilesAdmin):
    form = EpochResultForm
    resource_classes = (EpochResultResource,)
    import_export_change_list_template = "admin/evaluation/epochresult_change_list.html"
    change_form_template = "admin/evaluation/epochresult_change_form.html"
    acts: Sequence[Act] = (QUEUE_EPOCH, REPEAT_EPOCH, WEIGHTS_OF_EPOCH)
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
        # One pass over the lab's table, which has no index by epoch; the measures stay where they are
        drawn = PromptTestResult.objects.select_related("render").filter(render__status=Status.RENDERED)
        drawn = drawn.order_by("epoch_result_id", "render__priority").distinct("epoch_result_id")
        drawn = drawn.only("epoch_result", "render__finished")
        return super().get_queryset(request).prefetch_related(Prefetch("prompt_results", drawn, to_attr="drawn"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        result = self.get_object(request, object_id)
        facts = {"card": card_of(result), "measures": epochs_measured.measures_of(result)} if result is not None else {}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def further_events(self, row: EpochResult) -> Iterator[Event]:
        """Each act of scoring, and each reviewer's latest word on a picture."""
        for entry in row.score_entries.select_related("by"):
            yield Event(at=entry.created_at, by=entry.by, what=_told(entry))
        said = PictureReview.objects.filter(result__epoch_result=row).select_related("by", "result__test_prompt")
        for review in said:
            verdict = {True: "passed", False: "failed", None: "looked at"}[review.passed]
            score = "" if review.score is None else f", {review.score} of 10"
            marks = f", {told}" if (told := picture_reviews.told([review])) else ""
            yield Event(at=review.updated_at, by=review.by, what=f"{verdict} {review.result.test_prompt}{score}{marks}")

    @admin.display(description="")
    def picture(self, result: EpochResult) -> SafeString | str:
        drawn: list[PromptTestResult] = result.drawn  # type: ignore[attr-defined]
        return thumbnail(drawn[0].render.pk) if drawn else ""

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


def _told(entry: ScoreEntry) -> str:
    given = ", ".join("–" if (score := getattr(entry, name)) is None else f"{score:g}" for name in EpochResult.SCORES)
    if entry.source == ScoreEntry.Source.MACHINE:
        return f"{'suggested' if entry.reasons else 'scored by a script'} {given}"
    if entry.is_clearing:
        return entry.observations or "scores cleared"
    how = "accepted the suggestion" if entry.source == ScoreEntry.Source.ACCEPTED else "scored"
    return f"{how} {given}{' blind' if entry.is_blind else ''}, {entry.verdict}"


@admin.register(ScoreEntry)
class ScoreEntryAdmin(ReadOnlyAdmin, admin.ModelAdmin[ScoreEntry]):
    list_display = ("epoch_result", "scores", "verdict_badge", "source", "by", "created_at")
    list_select_related = ("epoch_result__training_run", "by")
    list_filter = ("source",)
    search_fields = ("epoch_result__training_run__run_name", "observations", "by__username")
    date_hierarchy = "created_at"

    @admin.display(description="scores")
    def scores(self, entry: ScoreEntry) -> str:
        given = [getattr(entry, name) for name in EpochResult.SCORES]
        return "cleared" if entry.is_clearing else ", ".join("–" if one is None else f"{one:g}" for one in given)

    @admin.display(description="verdict", ordering="verdict")
    def verdict_badge(self, entry: ScoreEntry) -> SafeString | str:
        return badge(entry.verdict)
