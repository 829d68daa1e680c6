"""Why a run was made, how its loss went, which searches of the list are kept; `runs.models` hands these out."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class LossPoint(models.Model):
    """The loss of a training at one step, as its job told it; a few hundred of a whole training."""

    job = models.ForeignKey("runs.TrainingJob", on_delete=models.PROTECT, related_name="losses")
    step = models.PositiveIntegerField()
    epoch = models.PositiveIntegerField()
    loss = models.FloatField(help_text="averaged over the last epoch's worth of batches")

    MOST: ClassVar = 400  # points of one training: what a curve can show

    class Meta:
        db_table = "punklab_training_loss"
        ordering = ("job", "step")
        constraints = [models.UniqueConstraint(fields=("job", "step"), name="punklab_training_loss_once")]

    def __str__(self) -> str:
        return f"{self.job}, step {self.step}: {self.loss:.4f}"


class RunPlan(models.Model):
    """Why a run was made: what it changes of its parent, what that is to show, and when it may end early.

    Written with the run and unchangeable but for how the criterion came out, which is written once."""

    class Direction(models.TextChoices):
        AT_LEAST = "at_least", "at least"
        AT_MOST = "at_most", "at most"

    run = models.OneToOneField("runs.TrainingRun", on_delete=models.PROTECT, related_name="plan")
    parent = models.ForeignKey(
        "runs.TrainingRun", null=True, blank=True, on_delete=models.PROTECT, related_name="copies"
    )
    starting_checkpoint = models.ForeignKey(
        "runs.Checkpoint", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    changes = models.JSONField(default=dict, help_text="parameter to its value in the parent and here")
    hypothesis = models.TextField(blank=True)
    measure = models.CharField(max_length=40, blank=True, help_text="of the criterion; empty: there is none")
    epoch = models.PositiveIntegerField(null=True, blank=True)
    direction = models.CharField(max_length=10, choices=Direction.choices, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    reason_for_several = models.TextField(blank=True, help_text="why more than one variable changes")
    reason_despite_failures = models.TextField(blank=True, help_text="why, where all the nearest past runs failed")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    judged_at = models.DateTimeField(null=True, blank=True, help_text="when the criterion was looked at")
    is_met = models.BooleanField(null=True, blank=True)
    outcome = models.TextField(blank=True, help_text="how the criterion came out, a sentence")

    class Meta:
        db_table = "punklab_run_plan"
        ordering = ("-created_at",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(measure="", epoch=None, threshold=None, direction="")
                | (~models.Q(measure="") & ~models.Q(direction="") & models.Q(epoch__gte=1, threshold__isnull=False)),
                name="punklab_run_plan_criterion_whole",
                violation_error_message="A criterion has a measure, an epoch, a direction and a threshold, or none of them.",
            )
        ]

    def __str__(self) -> str:
        return f"plan of {self.run}"


class SavedFilter(models.Model):
    """A search, filter and order of the list of runs under a name; its maker's own, or shared with everybody."""

    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True, help_text="the list's own query string")
    is_shared = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_saved_filter"
        ordering = ("name", "id")
        constraints = [
            models.UniqueConstraint(
                fields=("by", "name"),
                name="punklab_saved_filter_once",
                violation_error_message="You have a filter of that name already: delete it first, or choose another name.",
            )
        ]

    def __str__(self) -> str:
        return self.name
