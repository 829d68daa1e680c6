"""What the public gets: releases, and the punks that visitors asked for."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from evaluation.models import TestRender
from evaluation.renderjob import RenderJob, RenderJobQuerySet
from runs.models import CaptionVersion, Checkpoint


class ReleaseQuerySet(models.QuerySet["Release"]):
    def live(self) -> Release | None:
        """The release that the public page uses; None when nothing is live."""
        return self.filter(role=Release.Role.LIVE, retired_at=None).select_related("checkpoint__run").first()


class Release(models.Model):
    """The record of a promotion: a checkpoint with frozen generator settings. Only `retired_at` ever changes."""

    class Role(models.TextChoices):
        LIVE = "live"
        CHALLENGER = "challenger"

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.LIVE)
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="releases")
    caption_version = models.ForeignKey(
        CaptionVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="releases"
    )
    lora_weight = models.FloatField(default=1.0)
    steps = models.PositiveIntegerField()
    guidance = models.FloatField()
    scheduler = models.CharField(max_length=40)
    size = models.PositiveIntegerField(help_text="pixels, width and height as rendered")
    max_token_length = models.PositiveIntegerField()
    negative_prompt = models.TextField(blank=True)
    traits = models.JSONField(default=dict, help_text="what visitors may choose: kind to the captions' words")
    is_demo = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    overridden = models.JSONField(default=list, help_text="what stood against it and was overridden: sentences")
    override_reason = models.TextField(blank=True)
    restores = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="restored_by")
    released_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        db_table = "punklab_release"
        ordering = ("-released_at", "-id")
        permissions = [("promote_release", "Can promote epochs and roll back")]
        constraints = [
            models.UniqueConstraint(
                fields=("role",),
                condition=Q(retired_at__isnull=True),
                name="punklab_one_release_per_role",
                violation_error_message="A release of that role is live already.",
            )
        ]

    def __str__(self) -> str:
        return f"release {self.pk}: {self.checkpoint}"

    @property
    def is_live(self) -> bool:
        return self.retired_at is None and self.role == self.Role.LIVE


class Generation(RenderJob):
    """A visitor's request and its picture."""

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False, help_text="the permalink")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="generations")
    choices = models.JSONField(default=dict, help_text="what the visitor chose: kind to words")
    prompt = models.TextField()
    seed = models.PositiveBigIntegerField()

    objects = RenderJobQuerySet.as_manager()

    class Meta:
        db_table = "punklab_generation"
        ordering = ("-queued_at",)

    SEEDS: ClassVar = 2**32

    def __str__(self) -> str:
        return f"punk {self.key}"


class Verification(RenderJob):
    """A judged test picture drawn again before a promotion, to see that the same file still gives the same picture."""

    test_render = models.ForeignKey(TestRender, on_delete=models.PROTECT, related_name="verifications")
    expected_sha256 = models.CharField(max_length=64, help_text="of the judged 24x24 PNG when this was asked for")
    matches = models.BooleanField(null=True, blank=True, help_text="empty until both pictures have been compared")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    objects = RenderJobQuerySet.as_manager()

    class Meta:
        db_table = "punklab_verification"
        ordering = ("-queued_at", "-id")

    def __str__(self) -> str:
        return f"verification of {self.test_render}"
