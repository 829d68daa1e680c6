"""The console's pages on test prompts and the pictures that were drawn from them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from evaluation.gallery import picture_url, render_picture
from evaluation.matrix_models import FullComparison, WeightRender
from evaluation.models import PromptTestResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.resources import PromptTestResultResource, TestPromptResource
from evaluation.suite_models import SuitePrompt, SuiteRule
from punklab.acts import ReadOnlyAdmin
from punklab.badges import badge
from punklab.mirrored_forms import MirroredAdmin, MirroredForm
from punklab.mirrored_imports import MirroredFilesAdmin


def render_thumbnail(render: TestRender) -> SafeString | str:
    """Return the <img> of a test render, or its status while there is none. Asks the database for nothing."""
    return thumbnail(render.pk) if render.finished else badge(render.status)


def thumbnail(render: int) -> SafeString:
    """Return the <img> of a drawn test render by its key."""
    url = picture_url("render", render)
    return format_html('<img class="punk" src="{}" width="72" height="72" alt="" loading="lazy">', url)


class TestPromptForm(MirroredForm):
    class Meta:
        model = TestPrompt
        fields = "__all__"


@admin.register(TestPrompt)
class TestPromptAdmin(MirroredAdmin, MirroredFilesAdmin):
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


@admin.register(SuiteRule)
class SuiteRuleAdmin(admin.ModelAdmin[SuiteRule]):
    list_display = ("__str__", "minutes")


class PromptTestResultForm(MirroredForm):
    scores = ("score",)

    class Meta:
        model = PromptTestResult
        fields = "__all__"


@admin.register(PromptTestResult)
class PromptTestResultAdmin(MirroredAdmin, MirroredFilesAdmin):
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


@admin.register(WeightRender)
class WeightRenderAdmin(ReadOnlyAdmin, admin.ModelAdmin[WeightRender]):
    list_display = ("picture", "__str__", "status_badge", "seconds", "device", "by", "queued_at", "message")
    list_display_links = ("__str__",)
    list_select_related = ("checkpoint__run", "test_prompt", "by")
    list_filter = ("status", "device")
    list_per_page = 50
    search_fields = ("checkpoint__run__run_name", "test_prompt__prompt_name", "message")
    date_hierarchy = "queued_at"

    @admin.display(description="")
    def picture(self, render: WeightRender) -> SafeString | str:
        if render.status != Status.RENDERED:
            return ""
        url = picture_url("weight", render.pk)
        return format_html('<img class="punk" src="{}" width="72" height="72" alt="" loading="lazy">', url)

    @admin.display(description="status", ordering="status")
    def status_badge(self, render: WeightRender) -> SafeString | str:
        return badge(render.status)


@admin.register(FullComparison)
class FullComparisonAdmin(ReadOnlyAdmin, admin.ModelAdmin[FullComparison]):
    list_display = ("__str__", "drawn", "by", "started_at", "cancelled_at", "cancelled_by")
    list_select_related = ("run", "by", "cancelled_by")
    search_fields = ("run__run_name", "by__username")
    date_hierarchy = "started_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[FullComparison]:
        drawn = Count("pictures", filter=Q(pictures__render__status=Status.RENDERED))
        jobs: QuerySet[FullComparison] = super().get_queryset(request)
        return jobs.annotate(n_drawn=drawn, n_pictures=Count("pictures"))

    @admin.display(description="drawn")
    def drawn(self, job: FullComparison) -> str:
        return f"{job.n_drawn} of {job.n_pictures}"  # type: ignore[attr-defined]
