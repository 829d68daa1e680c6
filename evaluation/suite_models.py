"""What the suite is: the test prompts in their places, and which suite new checkpoints get by themselves."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import IntegerRangeField, RangeOperators
from django.db import models

from evaluation.models import TestPrompt


class EpochRange(models.Func):
    """PostgreSQL's range of whole numbers from two columns."""

    function = "int4range"
    output_field = IntegerRangeField()


class SuitePrompt(models.Model):
    """A test prompt's place in the suite: quick is the first, medium the first three, full all that are not retired.

    `seed` is the first of its seeds; a full suite draws the next ones too (`evaluation.suite.N_SEEDS`)."""

    test_prompt = models.OneToOneField(TestPrompt, on_delete=models.PROTECT, related_name="place")
    position = models.PositiveIntegerField(unique=True)
    seed = models.PositiveBigIntegerField(default=42)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "punklab_suite_prompt"
        ordering = ("position",)

    def __str__(self) -> str:
        return f"{self.position}. {self.test_prompt}"


class SuiteRule(models.Model):
    """Which suite new checkpoints get by themselves, unless it takes longer here than `minutes`: then a smaller one."""

    class Kind(models.TextChoices):
        EPOCHS = "epochs", "the epochs from first to last"
        BEST = "best", "the expected best epoch, once the training has ended"
        BASE = "base", "the base model without a LoRA"

    class Size(models.TextChoices):
        QUICK = "quick", "quick: the first prompt"
        MEDIUM = "medium", "medium: the first three prompts"
        FULL = "full", "full: all prompts, three seeds each"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.EPOCHS)
    first_epoch = models.PositiveIntegerField(null=True, blank=True, help_text="empty unless the rule is for epochs")
    last_epoch = models.PositiveIntegerField(null=True, blank=True, help_text="empty: this epoch and all later ones")
    size = models.CharField(max_length=10, choices=Size.choices)
    minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="the longest it may take on this machine: a smaller suite is taken instead; empty: no limit",
    )

    class Meta:
        db_table = "punklab_suite_rule"
        ordering = ("kind", "first_epoch")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="epochs", first_epoch__isnull=False, first_epoch__gte=1)
                | (~models.Q(kind="epochs") & models.Q(first_epoch=None, last_epoch=None)),
                name="punklab_suite_rule_epochs",
                violation_error_message="A rule for epochs needs a first epoch, from 1; another rule names no epochs.",
            ),
            models.CheckConstraint(
                condition=models.Q(last_epoch=None) | models.Q(last_epoch__gte=models.F("first_epoch")),
                name="punklab_suite_rule_in_order",
                violation_error_message="The last epoch lies before the first.",
            ),
            models.UniqueConstraint(
                fields=("kind",),
                condition=~models.Q(kind="epochs"),
                name="punklab_suite_rule_once",
                violation_error_message="There is a rule for that already: change it.",
            ),
            ExclusionConstraint(
                name="punklab_suite_rule_apart",
                expressions=[(EpochRange("first_epoch", "last_epoch", models.Value("[]")), RangeOperators.OVERLAPS)],
                condition=models.Q(kind="epochs"),
                violation_error_message="Another rule names one of these epochs: each epoch has one rule.",
            ),
        ]

    def __str__(self) -> str:
        if self.kind != self.Kind.EPOCHS:
            return f"{self.get_kind_display()}: {self.size}"
        last = "on" if self.last_epoch is None else f"to {self.last_epoch}"
        return f"epochs from {self.first_epoch} {last}: {self.size}"
