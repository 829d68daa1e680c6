"""What was trained, on what, where. `TrainingRun` and `CaptionVersion` stand on the lab's own tables."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from punklab.fields import UTCTimestampField
from runs import caption_models  # noqa: F401 - Django finds an app's models through this module
from runs.lease_models import Controller as Controller
from runs.lease_models import Lease as Lease
from runs.plan_models import LossPoint as LossPoint
from runs.plan_models import RunPlan as RunPlan
from runs.plan_models import SavedFilter as SavedFilter


class CaptionVersion(models.Model):
    """A frozen set of captions that runs are trained on (table `caption_versions`)."""

    id = models.AutoField(primary_key=True)
    version_name = models.TextField(unique=True)
    directory_path = models.TextField(null=True, blank=True)
    num_caption_files = models.IntegerField(null=True, blank=True)
    format_description = models.TextField(null=True, blank=True)
    includes_hex_codes = models.BooleanField(null=True, blank=True, db_default=False)
    includes_accessories = models.BooleanField(null=True, blank=True, db_default=False)
    includes_jewelry = models.BooleanField(null=True, blank=True, db_default=False)
    detail_level = models.TextField(null=True, blank=True)
    sample_caption = models.TextField(null=True, blank=True)
    created_date = models.DateField(null=True, blank=True)
    accuracy_verified = models.BooleanField(null=True, blank=True, db_default=False)
    used_in_training_runs = ArrayField(models.TextField(), null=True, blank=True)
    notes = models.TextField(null=True, blank=True)
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())

    # What forms offer; the table may hold other values, which stay as they are.
    DETAIL_LEVELS: ClassVar = ("minimal", "moderate", "detailed", "very_detailed")

    class Meta:
        db_table = "caption_versions"
        ordering = ("version_name",)

    def __str__(self) -> str:
        return self.version_name


class TrainingImage(models.Model):
    """One training picture, kept once however many caption versions use it: the file's own bytes."""

    sha256 = models.CharField(max_length=64, unique=True)
    png = models.BinaryField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_training_image"

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.width}×{self.height})"


class Caption(models.Model):
    """What one training image is described as in one caption version."""

    version = models.ForeignKey(CaptionVersion, on_delete=models.PROTECT, related_name="captions")
    image = models.ForeignKey(TrainingImage, on_delete=models.PROTECT, related_name="captions")
    stem = models.CharField(max_length=255)
    text = models.TextField()

    class Meta:
        db_table = "punklab_caption"
        ordering = ("stem",)
        constraints = [
            models.UniqueConstraint(
                fields=("version", "stem"),
                name="punklab_caption_stem_once",
                violation_error_message="This caption version already has a caption of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.stem


class CaptionCollection(models.Model):
    """What a caption version's pictures and words teach about punks (`punklab.pixels.collection`), kept with it."""

    version = models.OneToOneField(CaptionVersion, on_delete=models.PROTECT, related_name="collection")
    digest = models.CharField(max_length=64, help_text="of the captions and pictures that it was learned from")
    data = models.BinaryField(help_text="punklab.pixels.collection.Collection, as bytes")
    learned_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "punklab_caption_collection"

    def __str__(self) -> str:
        return f"what {self.version} teaches"


class TrainingRun(models.Model):
    """One training of one LoRA (table `training_runs`)."""

    id = models.AutoField(primary_key=True)
    run_name = models.TextField(unique=True)
    run_date = UTCTimestampField(default=timezone.now)
    status = models.TextField()
    base_model = models.TextField()
    model_type = models.TextField()
    training_data_path = models.TextField(null=True, blank=True)
    num_images = models.IntegerField(null=True, blank=True)
    caption_format = models.TextField(null=True, blank=True)
    caption_version = models.TextField(null=True, blank=True)
    resolution = models.TextField(null=True, blank=True)
    network_dim = models.IntegerField(null=True, blank=True)
    network_alpha = models.IntegerField(null=True, blank=True)
    learning_rate = models.FloatField(null=True, blank=True)
    unet_lr = models.FloatField(null=True, blank=True)
    text_encoder_lr = models.FloatField(null=True, blank=True)
    train_batch_size = models.IntegerField(null=True, blank=True)
    gradient_accumulation_steps = models.IntegerField(null=True, blank=True)
    max_train_epochs = models.IntegerField(null=True, blank=True)
    total_steps = models.IntegerField(null=True, blank=True)
    mixed_precision = models.TextField(null=True, blank=True)
    optimizer_type = models.TextField(null=True, blank=True)
    lr_scheduler = models.TextField(null=True, blank=True)
    lr_scheduler_cycles = models.IntegerField(null=True, blank=True)
    noise_offset = models.FloatField(null=True, blank=True)
    min_snr_gamma = models.IntegerField(null=True, blank=True)
    output_dir = models.TextField(null=True, blank=True)
    output_name = models.TextField(null=True, blank=True)
    checkpoint_file_size_mb = models.IntegerField(null=True, blank=True)
    platform = models.TextField(null=True, blank=True)
    gpu_type = models.TextField(null=True, blank=True)
    training_duration_hours = models.FloatField(null=True, blank=True)
    best_epoch = models.IntegerField(null=True, blank=True)
    overall_verdict = models.TextField(null=True, blank=True)
    quality_score = models.IntegerField(null=True, blank=True)
    production_ready = models.BooleanField(null=True, blank=True, db_default=False)
    key_findings = models.TextField(null=True, blank=True)
    issues_found = ArrayField(models.TextField(), null=True, blank=True)
    strengths = ArrayField(models.TextField(), null=True, blank=True)
    comparison_notes = models.TextField(null=True, blank=True)
    recommended_for = models.TextField(null=True, blank=True)
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    updated_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    notes = models.TextField(null=True, blank=True)
    all_parameters = models.JSONField(null=True, blank=True)

    # What forms offer; the tables hold other values too, which stay as they are.
    STATUSES: ClassVar = ("in_progress", "completed", "failed", "cancelled")
    MODEL_TYPES: ClassVar = ("SD15", "SDXL", "other")

    class Meta:
        db_table = "training_runs"
        ordering = ("-run_date", "-id")
        permissions = [
            ("train_trainingrun", "Can start, cancel and close training runs"),
        ]

    def __str__(self) -> str:
        return self.run_name

    @property
    def epochs(self) -> int:
        """How many epochs were asked for; 0 where the row does not say."""
        return self.max_train_epochs or 0


class Checkpoint(models.Model):
    """The LoRA file saved after one epoch; unchangeable."""

    class Source(models.TextChoices):
        TRAINED = "trained", "trained here"
        ADOPTED = "adopted", "adopted from the lab's past files"
        BASE = "base", "the base model itself, without a LoRA"

    run = models.ForeignKey(TrainingRun, null=True, blank=True, on_delete=models.PROTECT, related_name="checkpoints")
    epoch = models.PositiveIntegerField(null=True, blank=True)
    file = models.CharField(max_length=500, blank=True, help_text="path below STORAGE_DIR; empty for a base model")
    original_name = models.CharField(max_length=500, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="bytes")
    base_model = models.CharField(max_length=200)
    base_fingerprint = models.CharField(max_length=64, blank=True)
    header = models.JSONField(default=dict, help_text="facts read from the file's safetensors header")
    source = models.CharField(max_length=20, choices=Source.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_checkpoint"
        ordering = ("run", "epoch")
        constraints = [
            models.UniqueConstraint(
                fields=("run", "epoch"),
                name="punklab_checkpoint_epoch_once",
                violation_error_message="This epoch of the run already has a checkpoint.",
            ),
            models.UniqueConstraint(
                fields=("base_model", "base_fingerprint"),
                condition=models.Q(source="base"),
                name="punklab_checkpoint_base_once",
                violation_error_message="This base model already has its checkpoint without a LoRA.",
            ),
            models.CheckConstraint(
                condition=models.Q(source="base") | ~models.Q(sha256=""),
                name="punklab_checkpoint_has_a_hash",
                violation_error_message="A checkpoint needs the SHA-256 of its file.",
            ),
        ]

    def __str__(self) -> str:
        if self.source == self.Source.BASE:
            return f"{self.base_model} without a LoRA"
        return f"{self.run} epoch {self.epoch}" if self.run else self.original_name

    @property
    def path(self) -> Path | None:
        """Where the file lies on this machine; None for a base model without a LoRA."""
        return Path(settings.STORAGE_DIR) / self.file if self.file else None


class TrainingJobQuerySet(models.QuerySet["TrainingJob"]):
    def unfinished(self) -> TrainingJobQuerySet:
        return self.exclude(status__in=TrainingJob.FINAL)

    def claim(self, pk: int) -> bool:
        """Take a queued job for this process; False when someone else was faster or it was cancelled."""
        return self._take(self.filter(pk=pk, status=TrainingJob.Status.QUEUED))

    def adopt(self, job: TrainingJob) -> bool:
        """Take over a running job whose process is known to be gone; False when someone else was faster."""
        return self._take(self.filter(pk=job.pk, status=TrainingJob.Status.RUNNING, heartbeat_at=job.heartbeat_at))

    def _take(self, rows: TrainingJobQuerySet) -> bool:
        now = timezone.now()
        return bool(
            rows.filter(cancel_requested_at=None).update(
                status=TrainingJob.Status.RUNNING,
                started_at=Coalesce("started_at", now),
                heartbeat_at=now,
                attempts=models.F("attempts") + 1,
                pid=os.getpid(),
                message="",
            )
        )

    def silent(self, age: timedelta) -> TrainingJobQuerySet:
        """Running jobs whose process gave no sign of life for `age`."""
        return self.filter(status=TrainingJob.Status.RUNNING, heartbeat_at__lt=timezone.now() - age)


class TrainingJob(models.Model):
    """One attempt to carry a run out on a backend. `docs/lifecycle.md` says who moves its status."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        STARTING = "starting"  # a machine is being rented and set up
        RUNNING = "running"
        COLLECTING = "collecting"  # the machine is done; what it wrote is brought home
        FINISHED = "finished"
        FAILED = "failed", "failed (its data or settings)"
        ERRORED = "errored", "errored (our fault)"
        CANCELLED = "cancelled"

    FINAL: ClassVar = frozenset({Status.FINISHED, Status.FAILED, Status.ERRORED, Status.CANCELLED})
    ATTEMPTS: ClassVar = 5  # processes that may die in turn before an epoch is saved

    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="jobs")
    backend = models.CharField(max_length=20, default="local")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.QUEUED)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    config = models.TextField(help_text="kohya's TOML as this job uses it")
    folder = models.CharField(max_length=500, help_text="path below STORAGE_DIR: training data, output, state, log")
    pid = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="processes begun since the last epoch was saved")
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=0)
    loss = models.FloatField(null=True, blank=True)
    rate = models.FloatField(null=True, blank=True, help_text="the UNet's learning rate now")
    eta_seconds = models.FloatField(null=True, blank=True)
    message = models.TextField(blank=True, help_text="a sentence for people")
    max_hours = models.FloatField(null=True, blank=True, help_text="of rented machines, over all attempts")
    outcome = models.CharField(max_length=20, blank=True, help_text="the status it will end with, once that is known")
    ending = models.TextField(blank=True, help_text="why it ends, a sentence; empty: it does not")
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingJobQuerySet.as_manager()

    class Meta:
        db_table = "punklab_training_job"
        ordering = ("-queued_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("run",),
                condition=~models.Q(status__in=("finished", "failed", "errored", "cancelled")),
                name="punklab_one_unfinished_job_per_run",
                violation_error_message="This run already has a job that has not ended.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.run}, job {self.pk}"

    @property
    def path(self) -> Path:
        return Path(settings.STORAGE_DIR) / self.folder

    @property
    def share(self) -> float:
        """How much of the training is done, 0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0

    def end(self, status: TrainingJob.Status, message: str) -> bool:
        """Write a final status once; False when the job had ended already."""
        return bool(
            TrainingJob.objects.filter(pk=self.pk)
            .exclude(status__in=self.FINAL)
            .update(status=status, message=message, ended_at=timezone.now(), pid=None, eta_seconds=None)
        )

    def progress(self, **facts: Any) -> bool:
        """Write step, loss, rate and the like with a sign of life; False when the job has been ended by others."""
        return bool(
            TrainingJob.objects.filter(pk=self.pk, status=self.Status.RUNNING).update(
                heartbeat_at=timezone.now(), **facts
            )
        )

    def put_back(self, message: str) -> bool:
        """Queue a running job again after its process ended cleanly; False when it is not running any more."""
        return bool(
            TrainingJob.objects.filter(pk=self.pk, status=self.Status.RUNNING).update(
                status=self.Status.QUEUED,
                attempts=models.F("attempts") - 1,
                pid=None,
                eta_seconds=None,
                message=message,
            )
        )


class AdoptedPicture(models.Model):
    """A picture that one of the lab's past checkpoints rendered; the lab's own rows stay as they are."""

    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="adopted_pictures")
    epoch = models.PositiveIntegerField()
    file = models.CharField(max_length=500, help_text="path below STORAGE_DIR")
    original_name = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    reason = models.TextField(help_text="why it belongs to this epoch, a sentence")
    measures = models.JSONField(null=True, blank=True, help_text="punklab.pixels.measures, see docs/judging.md")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "punklab_adopted_picture"
        ordering = ("run", "epoch", "original_name")
        constraints = [
            models.UniqueConstraint(
                fields=("run", "epoch", "sha256"),
                name="punklab_adopted_picture_once",
                violation_error_message="This picture of the epoch is known already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.run} epoch {self.epoch}, {self.original_name}"

    @property
    def path(self) -> Path:
        return Path(settings.STORAGE_DIR) / self.file
