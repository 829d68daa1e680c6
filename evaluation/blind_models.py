"""Two checkpoints compared by people who do not know which is which. Rows are appended; none is changed but to say that
it no longer counts."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluation.models import TestRender
from runs.models import Checkpoint


class Choice(models.TextChoices):
    A = "a", "the first"
    B = "b", "the second"
    TIE = "tie", "no difference"


class BlindTest(models.Model):
    """Pictures of two checkpoints for the same prompts and seeds, put before people in pairs."""

    checkpoint_a = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    checkpoint_b = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    key = models.UUIDField(default=uuid.uuid4, editable=False, help_text="what sides and order are drawn from")
    n_identical = models.PositiveIntegerField(default=0, help_text="pictures left out: the same bytes from both")
    note = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    withdrawn_why = models.TextField(blank=True)

    class Meta:
        db_table = "punklab_blind_test"
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.checkpoint_a} against {self.checkpoint_b}"


class Pair(models.Model):
    """Two pictures of one prompt and seed as they were when the test began."""

    test = models.ForeignKey(BlindTest, on_delete=models.PROTECT, related_name="pairs")
    render_a = models.ForeignKey(TestRender, on_delete=models.PROTECT, related_name="+")
    render_b = models.ForeignKey(TestRender, on_delete=models.PROTECT, related_name="+")
    prompt = models.TextField()
    seed = models.PositiveBigIntegerField()
    sha256_a = models.CharField(max_length=64, help_text="of the finished picture as compared")
    sha256_b = models.CharField(max_length=64, help_text="of the finished picture as compared")
    repeat_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="repeats",
        help_text="the same pictures once more, sides swapped: says how consistent a voter is",
    )

    class Meta:
        db_table = "punklab_pair"
        ordering = ("test", "id")
        constraints = [
            models.UniqueConstraint(
                fields=("test", "render_a", "render_b"),
                condition=Q(repeat_of__isnull=True),
                name="punklab_pair_once",
                violation_error_message="These two pictures are a pair of this test already.",
            )
        ]

    def __str__(self) -> str:
        return f"pair {self.pk} of test {self.test_id}"


class Vote(models.Model):
    """One person's word on one pair. Taking it back writes `withdrawn_at`; another vote is another row."""

    pair = models.ForeignKey(Pair, on_delete=models.PROTECT, related_name="votes")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    left = models.CharField(max_length=1, choices=Choice.choices[:2], help_text="which was shown on the left")
    choice = models.CharField(max_length=3, choices=Choice.choices)
    is_blind = models.BooleanField(default=True, help_text="given before its voter looked at the results")
    voted_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "punklab_vote"
        ordering = ("voted_at", "id")
        constraints = [
            models.UniqueConstraint(
                fields=("pair", "by"),
                condition=Q(withdrawn_at__isnull=True),
                name="punklab_one_vote_each",
                violation_error_message="This pair has your vote already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.by} on {self.pair}"


class Unblinding(models.Model):
    """Who looked at a test's results before they had voted on all its pairs, and when."""

    test = models.ForeignKey(BlindTest, on_delete=models.PROTECT, related_name="unblindings")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    looked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_unblinding"
        ordering = ("looked_at",)
        constraints = [models.UniqueConstraint(fields=("test", "by"), name="punklab_unblinded_once")]

    def __str__(self) -> str:
        return f"{self.by} looked at test {self.test_id}"
