"""How good an epoch is. `TestPrompt`, `EpochResult` and `PromptTestResult` stand on the lab's own tables."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from evaluation.renderjob import RenderJob, RenderJobQuerySet
from punklab.fields import UTCTimestampField
from runs.models import Checkpoint, TrainingRun


class EpochResultQuerySet(models.QuerySet["EpochResult"]):
    def unscored(self) -> EpochResultQuerySet:
        """Epochs without three common scores: nobody has scored them, or their reviewers are too far apart."""
        return self.filter(
            models.Q(visual_quality_score=None)
            | models.Q(style_match_score=None)
            | models.Q(prompt_adherence_score=None)
        )

    def awaiting_scores(self) -> EpochResultQuerySet:
        """Those of them that have pictures to look at."""
        return self.unscored().filter(num_test_images__gt=0)

    def scored(self) -> EpochResultQuerySet:
        """Epochs with all three scores, a person's or a script's."""
        return self.exclude(
            models.Q(visual_quality_score=None)
            | models.Q(style_match_score=None)
            | models.Q(prompt_adherence_score=None)
        )

    def machine_scored(self) -> EpochResultQuerySet:
        """Epochs whose rows say that a script scored them, as `EpochResult.is_machine_scored` reads it."""
        return self.filter(observations__iregex=r"^\s*auto-scored")


class EpochResult(models.Model):
    """What people and measures found about one epoch of one run (table `epoch_results`)."""

    id = models.AutoField(primary_key=True)
    training_run = models.ForeignKey(
        TrainingRun, null=True, blank=True, on_delete=models.PROTECT, related_name="epoch_results", db_index=False
    )
    epoch_number = models.IntegerField()
    checkpoint_path = models.TextField(null=True, blank=True)
    checkpoint_file_size_mb = models.IntegerField(null=True, blank=True)
    test_output_dir = models.TextField(null=True, blank=True)
    num_test_images = models.IntegerField(null=True, blank=True)
    visual_quality_score = models.IntegerField(null=True, blank=True)
    style_match_score = models.IntegerField(null=True, blank=True)
    prompt_adherence_score = models.IntegerField(null=True, blank=True)
    has_wrong_backgrounds = models.BooleanField(null=True, blank=True, db_default=False)
    has_random_pixels = models.BooleanField(null=True, blank=True, db_default=False)
    has_wrong_colors = models.BooleanField(null=True, blank=True, db_default=False)
    is_photorealistic = models.BooleanField(null=True, blank=True, db_default=False)
    is_overtrained = models.BooleanField(null=True, blank=True, db_default=False)
    issues_detail = ArrayField(models.TextField(), null=True, blank=True)
    strengths_detail = ArrayField(models.TextField(), null=True, blank=True)
    verdict = models.TextField(null=True, blank=True)
    production_ready = models.BooleanField(null=True, blank=True, db_default=False)
    observations = models.TextField(null=True, blank=True)
    comparison_to_previous = models.TextField(null=True, blank=True)
    test_image_paths = ArrayField(models.TextField(), null=True, blank=True)
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    notes = models.TextField(null=True, blank=True)
    quantitative_metrics = models.JSONField(null=True, blank=True)
    diagnosed_issues = models.JSONField(null=True, blank=True)
    recommendations = ArrayField(models.TextField(), null=True, blank=True)

    objects = EpochResultQuerySet.as_manager()

    SCORES: ClassVar = ("visual_quality_score", "style_match_score", "prompt_adherence_score")

    class Meta:
        db_table = "epoch_results"
        ordering = ("training_run", "epoch_number")
        permissions = [("score_epochresult", "Can score epochs")]

    def __str__(self) -> str:
        return f"{self.training_run} epoch {self.epoch_number}"

    @property
    def average(self) -> float | None:
        """The mean of the three scores, 0 to 10; None unless all three are given."""
        scores = [getattr(self, name) for name in self.SCORES]
        return sum(scores) / 3 if None not in scores else None

    @property
    def is_machine_scored(self) -> bool:
        """Whether the row says that a script gave its scores: such scores never count as a person's."""
        return (self.observations or "").lstrip().lower().startswith("auto-scored")


class ScoreEntry(models.Model):
    """One act of scoring an epoch, or of clearing its scores (all three None), as it was; appended, never changed."""

    class Source(models.TextChoices):
        PERSON = "person"
        MACHINE = "machine", "suggested by the measures"
        ACCEPTED = "accepted", "a suggestion that a person accepted"
        WITHDRAWN = "withdrawn", "taken back by who gave it"

    epoch_result = models.ForeignKey(EpochResult, on_delete=models.PROTECT, related_name="score_entries")
    source = models.CharField(max_length=10, choices=Source.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    visual_quality_score = models.FloatField(null=True, blank=True)
    style_match_score = models.FloatField(null=True, blank=True)
    prompt_adherence_score = models.FloatField(null=True, blank=True)
    issues = ArrayField(models.TextField(), null=True, blank=True, help_text="a person's word; null: not said")
    strengths = ArrayField(models.TextField(), null=True, blank=True, help_text="a person's word; null: not said")
    verdict = models.CharField(max_length=20, blank=True)
    observations = models.TextField(blank=True)
    reasons = models.JSONField(default=list, help_text="of suggested scores: sentences")
    accepted = ArrayField(
        models.TextField(), default=list, help_text="score columns taken over from a suggestion, not judged"
    )
    is_blind = models.BooleanField(default=False, help_text="given without seeing run, epoch, measures, other scores")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_score_entry"
        ordering = ("-created_at", "-id")
        verbose_name_plural = "score entries"

    def __str__(self) -> str:
        scores = [getattr(self, name) for name in EpochResult.SCORES]
        return f"{self.epoch_result}: {', '.join('none' if score is None else f'{score:g}' for score in scores)}"

    @property
    def is_clearing(self) -> bool:
        return all(getattr(self, name) is None for name in EpochResult.SCORES)


class ScoreDraft(models.Model):
    """What a reviewer typed on the desk of an epoch and has not saved as scores yet."""

    epoch_result = models.ForeignKey(EpochResult, on_delete=models.PROTECT, related_name="drafts")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    fields = models.JSONField(default=dict, help_text="the form's fields by name, as typed")
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_score_draft"
        constraints = [models.UniqueConstraint(fields=("epoch_result", "by"), name="punklab_one_draft_each")]

    def __str__(self) -> str:
        return f"{self.by}'s draft on {self.epoch_result}"


class TestPrompt(models.Model):
    """A prompt used on every checkpoint (table `test_prompts`)."""

    id = models.AutoField(primary_key=True)
    prompt_name = models.TextField(unique=True)
    prompt_text = models.TextField()
    negative_prompt = models.TextField(null=True, blank=True)
    purpose = models.TextField(null=True, blank=True)
    expected_result = models.TextField(null=True, blank=True)
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "test_prompts"
        ordering = ("id",)

    def __str__(self) -> str:
        return self.prompt_name


class PromptTestResult(models.Model):
    """One epoch, one test prompt, one picture, and what was found in it (table `prompt_test_results`)."""

    id = models.AutoField(primary_key=True)
    epoch_result = models.ForeignKey(
        EpochResult, null=True, blank=True, on_delete=models.PROTECT, related_name="prompt_results", db_index=False
    )
    test_prompt = models.ForeignKey(
        TestPrompt, null=True, blank=True, on_delete=models.PROTECT, related_name="results", db_index=False
    )
    image_path = models.TextField(null=True, blank=True)
    passed = models.BooleanField(null=True, blank=True)
    correct_background_color = models.BooleanField(null=True, blank=True)
    correct_hair_color = models.BooleanField(null=True, blank=True)
    correct_eye_color = models.BooleanField(null=True, blank=True)
    accessories_visible = models.BooleanField(null=True, blank=True)
    is_pixel_art = models.BooleanField(null=True, blank=True)
    has_random_artifacts = models.BooleanField(null=True, blank=True)
    observations = models.TextField(null=True, blank=True)
    score = models.IntegerField(null=True, blank=True)
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "prompt_test_results"
        ordering = ("epoch_result", "id")

    def __str__(self) -> str:
        return f"{self.epoch_result}, {self.test_prompt}"


class PictureReview(models.Model):
    """What one reviewer says of one test picture; the latest word, the mirrored row holds what all say together."""

    class Defect(models.TextChoices):
        STRAY = "stray", "stray pixel"
        EYES = "eyes"
        HAT = "hat"
        EYEWEAR = "eyewear"
        BOW = "bow"
        OTHER = "other"

    result = models.ForeignKey(PromptTestResult, on_delete=models.PROTECT, related_name="reviews")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    passed = models.BooleanField(null=True, blank=True)
    score = models.PositiveSmallIntegerField(null=True, blank=True)
    marks = models.JSONField(default=dict, help_text="kind of defect to its cells, each [row, column] of 24")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_picture_review"
        ordering = ("result", "by")
        constraints = [
            models.UniqueConstraint(fields=("result", "by"), name="punklab_one_picture_review_each"),
            models.CheckConstraint(
                condition=models.Q(score__isnull=True) | models.Q(score__lte=10),
                name="punklab_picture_score_to_10",
                violation_error_message="A picture's score goes from 0 to 10.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.by} on {self.result}"


class TestRender(RenderJob):
    """One test picture of one checkpoint: a test prompt and a seed."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="test_renders")
    test_prompt = models.ForeignKey(TestPrompt, on_delete=models.PROTECT, related_name="test_renders")
    digest = models.CharField(max_length=64, help_text="of the request: the same picture is never queued twice")
    priority = models.PositiveIntegerField(
        default=0,
        help_text="the position of its prompt, with 10,000 more for each seed after the first: smaller is drawn first",
    )
    is_repeat = models.BooleanField(
        default=False, help_text="drawn with another seed than the suite's, to see how much chance alone changes"
    )
    measures = models.JSONField(null=True, blank=True, help_text="punklab.pixels.measures, see docs/judging.md")
    result = models.OneToOneField(
        PromptTestResult, null=True, blank=True, on_delete=models.PROTECT, related_name="render"
    )

    objects = RenderJobQuerySet.as_manager()

    LATER_SEEDS: ClassVar = 10_000  # `priority` of a prompt's second seed begins here

    class Meta:
        db_table = "punklab_test_render"
        ordering = ("checkpoint", "priority", "id")
        constraints = [
            models.UniqueConstraint(fields=("checkpoint", "test_prompt", "digest"), name="punklab_test_render_once")
        ]

    def __str__(self) -> str:
        return f"{self.checkpoint}, {self.label}"

    @property
    def label(self) -> str:
        """What tells it from the other pictures of its checkpoint: the prompt's name, and the seed beyond its first."""
        if not self.is_repeat and self.priority < self.LATER_SEEDS:
            return str(self.test_prompt)
        return f"{self.test_prompt} (seed {self.request.get('seed', '?')})"
