"""What a matrix shows beyond the suite's own pictures: pictures at other LoRA weights, and full comparisons.

Neither ever counts as an epoch's own: results, noise, promotion and convergence read `TestRender` and nothing else.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from evaluation.models import TestPrompt, TestRender
from evaluation.renderjob import RenderJob, RenderJobQuerySet
from runs.models import Checkpoint, TrainingRun


class WeightRender(RenderJob):
    """A prompt of the suite drawn with the LoRA at another strength than the one it was trained with."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="weight_renders")
    test_prompt = models.ForeignKey(TestPrompt, on_delete=models.PROTECT, related_name="weight_renders")
    lora_weight = models.FloatField(help_text="neither 0 (the base's own picture) nor 1 (the suite's)")
    digest = models.CharField(max_length=64, help_text="of the request: the same picture is never queued twice")
    priority = models.PositiveIntegerField(default=0, help_text="the position of its prompt: smaller is drawn first")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    objects = RenderJobQuerySet.as_manager()

    class Meta:
        db_table = "punklab_weight_render"
        ordering = ("checkpoint", "priority", "lora_weight", "id")
        constraints = [
            models.UniqueConstraint(fields=("checkpoint", "test_prompt", "digest"), name="punklab_weight_render_once"),
            models.CheckConstraint(
                condition=~models.Q(lora_weight__in=(0.0, 1.0)),
                name="punklab_weight_render_is_another",
                violation_error_message="Weight 0 is the base's own picture, weight 1 the suite's.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.checkpoint} at {self.lora_weight:g}, {self.test_prompt}"


class FullComparison(models.Model):
    """Baselines beside all epochs of a run, every prompt of the suite: one job, whose pictures are test renders.

    Where it stands is read from its pictures; a row is never reopened, starting again makes another."""

    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="comparisons")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        db_table = "punklab_comparison"
        ordering = ("-started_at", "-id")

    def __str__(self) -> str:
        return f"full comparison {self.pk} of {self.run}"


class ComparedPicture(models.Model):
    """A test render that a full comparison needs."""

    comparison = models.ForeignKey(FullComparison, on_delete=models.PROTECT, related_name="pictures")
    render = models.ForeignKey(TestRender, on_delete=models.PROTECT, related_name="compared")
    queued_here = models.BooleanField(help_text="it was queued for this comparison: cancelling takes it off the queue")

    class Meta:
        db_table = "punklab_compared_picture"
        constraints = [models.UniqueConstraint(fields=("comparison", "render"), name="punklab_compared_once")]

    def __str__(self) -> str:
        return f"{self.comparison}: {self.render}"
