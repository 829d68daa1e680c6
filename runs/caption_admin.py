"""The console's pages on captions and the pictures they describe."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from punklab import pictures
from punklab.acts import ReadOnlyAdmin
from punklab.mirrored_forms import MirroredAdmin, MirroredForm
from punklab.mirrored_imports import MirroredFilesAdmin
from runs.caption_findings import known_findings
from runs.caption_models import CaptionBatch, CaptionEdit, CaptionOrigin
from runs.captions import runs_using
from runs.models import Caption, CaptionVersion, TrainingImage, TrainingRun
from runs.resources import CaptionVersionResource

SHOWN_CAPTIONS = 12


class CaptionVersionForm(MirroredForm):
    offered: ClassVar = {"detail_level": CaptionVersion.DETAIL_LEVELS}

    class Meta:
        model = CaptionVersion
        fields = "__all__"


@admin.register(CaptionVersion)
class CaptionVersionAdmin(MirroredAdmin, MirroredFilesAdmin):
    form = CaptionVersionForm
    resource_classes = (CaptionVersionResource,)
    change_form_template = "admin/runs/captionversion_change_form.html"
    list_display = (
        "version_name",
        "num_caption_files",
        "includes_hex_codes",
        "includes_accessories",
        "includes_jewelry",
        "detail_level",
        "accuracy_verified",
        "created_date",
    )
    list_filter = ("detail_level", "includes_hex_codes", "accuracy_verified")
    search_fields = ("version_name", "format_description", "notes")
    readonly_fields = ("used_in_training_runs", "created_at")
    fieldsets = (
        (None, {"fields": ("version_name", "format_description", "notes", "accuracy_verified")}),
        (
            "What the captions hold",
            {
                "fields": (
                    "num_caption_files",
                    ("includes_hex_codes", "includes_accessories", "includes_jewelry"),
                    "detail_level",
                    "sample_caption",
                )
            },
        ),
        ("Record", {"fields": ("directory_path", "created_date", "used_in_training_runs", "created_at")}),
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.findings_view)
        return [path("<int:pk>/findings/", view, name="runs_captionversion_findings"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        facts = {"captions": [], "n_captions": 0, "trained": []}
        if version is not None:
            stored = version.captions.select_related("image").defer("image__png")
            facts = {
                "captions": list(stored[:SHOWN_CAPTIONS]),
                "n_captions": stored.count(),
                "trained": list(TrainingRun.objects.filter(run_name__in=runs_using(version))[:50]),
            }
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def findings_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """List what was found in the captions, blocking findings first."""
        version = self.get_queryset(request).filter(pk=pk).first()
        if version is None or not self.has_view_permission(request, version):
            raise Http404(f"There is no caption version {pk}.")
        if not version.captions.exists():
            message = (
                "There is nothing to check: its captions are not in this database; import them with import_captions."
            )
            messages.warning(request, message)
            return HttpResponseRedirect(reverse("admin:runs_captionversion_change", args=(pk,)))
        known = known_findings(version)
        everything = [each for several in known.found.values() for each in several]
        found = sorted(everything, key=lambda each: (not each.blocking, each.file, each.code, each.detail))
        codes = sorted({each.code for each in found})
        context = {
            **self.admin_site.each_context(request),
            "title": "Findings",
            "subtitle": str(version),
            "opts": self.opts,
            "original": version,
            "known": known,
            "findings": found,
            "counts": [(code, sum(each.code == code for each in found)) for code in codes],
            "n_blocking": sum(each.blocking for each in found),
        }
        return TemplateResponse(request, "admin/runs/findings.html", context)


@admin.register(Caption)
class CaptionAdmin(ReadOnlyAdmin, admin.ModelAdmin[Caption]):
    list_display = ("picture", "stem", "version", "text")
    list_display_links = ("stem",)
    list_select_related = ("version",)
    list_per_page = 50
    search_fields = ("stem", "text", "version__version_name")
    fields = ("stem", "version", "picture", "text")
    readonly_fields = ("picture",)

    @admin.display(description="")
    def picture(self, caption: Caption) -> SafeString:
        return training_picture(caption.image_id, caption.stem)


@admin.register(TrainingImage)
class TrainingImageAdmin(ReadOnlyAdmin, admin.ModelAdmin[TrainingImage]):
    list_display = ("picture", "sha256", "width", "height", "created_at")
    list_display_links = ("sha256",)
    list_per_page = 50
    search_fields = ("sha256", "captions__stem")
    fields = ("picture", "sha256", "width", "height", "described_as", "created_at")
    readonly_fields = ("picture", "described_as")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingImage]:
        return super().get_queryset(request).defer("png")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.png_view, cacheable=True)
        return [path("<int:pk>/png/", view, name="runs_trainingimage_png"), *super().get_urls()]

    def png_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        image = TrainingImage.objects.filter(pk=pk).first()
        if image is None or not self.has_view_permission(request, image):
            raise Http404(f"There is no training image {pk}.")
        return pictures.kept(bytes(image.png))

    @admin.display(description="")
    def picture(self, image: TrainingImage) -> SafeString:
        return training_picture(image.pk, str(image))

    @admin.display(description="described as")
    def described_as(self, image: TrainingImage) -> str:
        return "\n\n".join(f"{each.version}: {each.text}" for each in image.captions.select_related("version"))


@admin.register(CaptionEdit)
class CaptionEditAdmin(ReadOnlyAdmin, admin.ModelAdmin[CaptionEdit]):
    list_display = ("stem", "version", "number", "status", "by", "at", "batch")
    list_select_related = ("version", "by", "batch")
    list_per_page = 50
    list_filter = ("status",)
    search_fields = ("stem", "text", "version__version_name")


@admin.register(CaptionBatch)
class CaptionBatchAdmin(ReadOnlyAdmin, admin.ModelAdmin[CaptionBatch]):
    list_display = ("words", "version", "by", "at", "undone_by", "undone_at")
    list_select_related = ("version", "by", "undone_by")


@admin.register(CaptionOrigin)
class CaptionOriginAdmin(ReadOnlyAdmin, admin.ModelAdmin[CaptionOrigin]):
    list_display = ("version", "source", "n_changed", "by", "at")
    list_select_related = ("version", "source", "by")


def training_picture(pk: int, words: str) -> SafeString:
    """Return the <img> of a training image, enlarged crisply."""
    url = reverse("admin:runs_trainingimage_png", args=(pk,))
    return format_html('<img class="punk" src="{}" width="72" height="72" alt="{}" loading="lazy">', url, words)
