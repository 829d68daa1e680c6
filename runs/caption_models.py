"""The work on captions: steps and batches of edits, where a version came from, what was found, what the lab's table said."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class CaptionFindings(models.Model):
    """What the check of a caption version found, kept with it: pictures are not decoded again for every page."""

    version = models.OneToOneField("runs.CaptionVersion", on_delete=models.PROTECT, related_name="findings")
    digest = models.CharField(max_length=80, help_text="of the captions, pictures and rules that were checked")
    found = models.JSONField(help_text="stem to findings")
    words = models.JSONField(help_text="each word of the captions and how often it stands there")
    with_codes = models.BooleanField(help_text="whether these captions name colours by code")
    checked_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_caption_findings"

    def __str__(self) -> str:
        return f"what was found in {self.version}"


class CaptionBatch(models.Model):
    """Many captions edited by one act, so that one act can undo it."""

    version = models.ForeignKey("runs.CaptionVersion", on_delete=models.PROTECT, related_name="batches")
    words = models.TextField(help_text="what was done, a sentence")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "punklab_caption_batch"
        ordering = ("-at",)
        verbose_name_plural = "caption batches"

    def __str__(self) -> str:
        return self.words


class CaptionEdit(models.Model):
    """One step of the work on a caption: appended, never changed. The last one of a stem says how it stands.

    The version itself stays as it is: runs are trained on it. `docs/lifecycle.md` says who moves the status.
    """

    class Status(models.TextChoices):
        """The words of the lab's table `caption_reviews`, which may hold others: they are kept and shown."""

        PENDING = "pending"
        APPROVED = "approved"
        EDITED = "edited"
        SKIPPED = "skipped"

    TAKEN: ClassVar = frozenset({Status.APPROVED, Status.EDITED})  # whose texts go into a new version

    version = models.ForeignKey("runs.CaptionVersion", on_delete=models.PROTECT, related_name="edits")
    stem = models.CharField(max_length=255)
    number = models.PositiveIntegerField(help_text="1 for the first step of this caption")
    status = models.TextField()
    text = models.TextField(help_text="the whole caption as it stands after this step")
    corrections = models.TextField(blank=True, help_text="what a person noted: the lab's user_corrections")
    findings = models.JSONField(default=list, help_text="what the check found in this text")
    restores = models.PositiveIntegerField(
        null=True, blank=True, help_text="the step that this one goes back to; 0 is the caption of the version"
    )
    batch = models.ForeignKey(CaptionBatch, null=True, blank=True, on_delete=models.PROTECT, related_name="edits")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_caption_edit"
        ordering = ("-at", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=("version", "stem", "number"),
                name="punklab_caption_edit_number_once",
                violation_error_message="Somebody else changed this caption at the same moment.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.stem}, step {self.number}"


class CaptionOrigin(models.Model):
    """Where a caption version came from that was made of another one and the edits of it."""

    version = models.OneToOneField("runs.CaptionVersion", on_delete=models.PROTECT, related_name="origin")
    source = models.ForeignKey("runs.CaptionVersion", on_delete=models.PROTECT, related_name="descendants")
    n_changed = models.PositiveIntegerField(help_text="captions that differ from the source")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_caption_origin"

    def __str__(self) -> str:
        return f"{self.version}, from {self.source}"


class LabReview(models.Model):
    """How a row of the lab's table `caption_reviews` stood when we last read or wrote it."""

    version = models.ForeignKey("runs.CaptionVersion", on_delete=models.PROTECT, related_name="lab_reviews")
    stem = models.CharField(max_length=255)
    filename = models.TextField()
    seen = models.JSONField(help_text="its status, user_corrections and final_caption")
    seen_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_lab_review"
        ordering = ("stem",)
        constraints = [
            models.UniqueConstraint(
                fields=("version", "stem"),
                name="punklab_lab_review_once",
                violation_error_message="This caption is bound to a row of the lab's table already.",
            )
        ]

    def __str__(self) -> str:
        return self.filename
