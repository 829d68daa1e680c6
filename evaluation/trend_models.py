"""What people decided about a run's course: how long to wait for a better epoch, and which epoch is the best."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from evaluation.models import EpochResult
from runs.models import TrainingRun


class RunPatience(models.Model):
    """When `evaluation.convergence` says stop for this run; runs without a row use the default."""

    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="patience")
    below_best = models.PositiveSmallIntegerField(help_text="epochs running below the best")
    falls = models.PositiveSmallIntegerField(help_text="falls running ...")
    falls_from = models.FloatField(help_text="... from this average or more")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_patience"
        verbose_name_plural = "patience"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(below_best__gte=1, falls__gte=1),
                name="punklab_patience_from_1",
                violation_error_message="A run is given one epoch at least.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.run}: {self.below_best} below the best, {self.falls} falls from {self.falls_from:g}"


class BestEpochChoice(models.Model):
    """A person's word on a run's best epoch and why, or that the computed one holds again; appended, the latest holds."""

    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="best_epoch_choices")
    epoch_result = models.ForeignKey(
        EpochResult,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="empty: back to the computed one",
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_best_epoch_choice"
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.run}: {f'epoch {self.epoch_result.epoch_number}' if self.epoch_result else 'the computed one'}"
