"""The console's pages on what the public gets. An epoch's page gains its promotion here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from deployment.models import Generation, Release, Verification
from deployment.production import production_checklist
from deployment.release_acts import COMPARE_LIVE, PROMOTE_EPOCH, VERIFY
from evaluation.admin import EvaluatedRunAdmin
from evaluation.checklists import Checklist
from evaluation.epoch_admin import EpochResultAdmin
from evaluation.models import EpochResult
from evaluation.renderjob import Status
from punklab.acts import ReadOnlyAdmin
from punklab.badges import badge
from runs.models import Checkpoint, TrainingRun

admin.site.unregister(EpochResult)
admin.site.unregister(TrainingRun)


@admin.register(TrainingRun)
class ReleasedRunAdmin(EvaluatedRunAdmin):
    """The run's page with what a release asks for and what comparisons stand beside; `evaluation` knows no releases."""

    def checklists(self, run: TrainingRun, *args: Any, **kwargs: Any) -> list[Checklist]:
        return [*super().checklists(run, *args, **kwargs), production_checklist(run)]

    def baselines(self) -> list[Checkpoint]:
        live = Release.objects.live()
        return [live.checkpoint] if live else []


@admin.register(EpochResult)
class PromotableEpochAdmin(EpochResultAdmin):
    """The epoch's page with its way to the public; `evaluation` knows nothing of releases."""

    acts = (*EpochResultAdmin.acts, COMPARE_LIVE, VERIFY, PROMOTE_EPOCH)

    def offers(self, request: HttpRequest, row: EpochResult) -> list[dict[str, Any]]:
        """Return the acts, before them the page that says whether the epoch is ready for the public."""
        url = reverse("readiness:ready", args=(row.pk,))
        ready = {"name": "ready", "label": "Production readiness", "url": url, "is_grave": False}
        return [ready, *super().offers(request, row)]


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin, admin.ModelAdmin[Release]):
    list_display = (
        "__str__",
        "live_badge",
        "caption_version",
        "by",
        "released_at",
        "retired_at",
        "reason",
        "override",
    )
    list_select_related = ("checkpoint__run", "caption_version", "by")
    list_filter = ("role", "is_demo")
    search_fields = ("checkpoint__run__run_name", "reason", "by__username")
    date_hierarchy = "released_at"

    @admin.display(description="state", ordering="retired_at")
    def live_badge(self, release: Release) -> SafeString | str:
        if release.is_live:
            return badge("live", "live, a demo" if release.is_demo else "live")
        return badge("retired" if release.retired_at else release.role)

    @admin.display(description="overridden", ordering="override_reason")
    def override(self, release: Release) -> SafeString | str:
        if not release.overridden:
            return ""
        number = f"{len(release.overridden)} overridden"
        return format_html("{} {}", badge("failed", number), release.override_reason)


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin, admin.ModelAdmin[Generation]):
    list_display = ("picture", "permalink", "status_badge", "seed", "seconds", "queued_at", "message")
    list_display_links = ("permalink",)
    list_filter = ("status", "device")
    list_per_page = 50
    search_fields = ("prompt", "key", "message")
    date_hierarchy = "queued_at"

    @admin.display(description="")
    def picture(self, punk: Generation) -> SafeString | str:
        if punk.status != Status.RENDERED:
            return ""
        url = reverse("deployment:punk_png", args=(punk.key,))
        return format_html('<img class="punk" src="{}" width="72" height="72" alt="" loading="lazy">', url)

    @admin.display(description="punk", ordering="key")
    def permalink(self, punk: Generation) -> str:
        return str(punk.key)

    @admin.display(description="status", ordering="status")
    def status_badge(self, punk: Generation) -> SafeString | str:
        return badge(punk.status)


@admin.register(Verification)
class VerificationAdmin(ReadOnlyAdmin, admin.ModelAdmin[Verification]):
    list_display = ("__str__", "status_badge", "matches", "by", "queued_at", "message")
    list_select_related = ("test_render__checkpoint__run", "test_render__test_prompt", "by")
    list_filter = ("status", "matches")
    search_fields = ("test_render__checkpoint__run__run_name", "message")
    date_hierarchy = "queued_at"

    @admin.display(description="status", ordering="status")
    def status_badge(self, row: Verification) -> SafeString | str:
        return badge(row.status)
