"""A picture to be rendered: the one place for how such a row is claimed, finished, failed and swept.

Two tables use it: the lab's test renders here, visitors' generations in `deployment`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Status(models.TextChoices):
    QUEUED = "queued"
    RENDERING = "rendering"
    RENDERED = "rendered"
    FAILED = "failed", "failed (its input)"
    ERRORED = "errored", "errored (our fault)"
    CANCELLED = "cancelled"


Job = TypeVar("Job", bound="RenderJob", covariant=True)

FINAL = frozenset({Status.RENDERED, Status.FAILED, Status.ERRORED, Status.CANCELLED})
ATTEMPTS = 3


class RenderJobQuerySet(models.QuerySet[Job]):
    def claim(self, pks: list[int]) -> tuple[list[int], datetime]:
        """Take queued rows for oneself; return the keys that were won and the claim's time, its token.

        A cancelled, finished or claimed row is not won. One guarded UPDATE: two workers never win the same row.
        """
        token = timezone.now()
        won = [
            pk
            for pk in sorted(pks)
            if self.filter(pk=pk, status=Status.QUEUED).update(
                status=Status.RENDERING, started_at=token, attempts=models.F("attempts") + 1
            )
        ]
        return won, token

    def stale(self) -> Self:
        """Rows claimed longer ago than the queue's `retry`: their worker is dead."""
        limit = timezone.now() - timedelta(seconds=settings.Q_CLUSTER["retry"])
        return self.filter(status=Status.RENDERING, started_at__lt=limit)

    def put_back(self) -> int:
        """Queue stale rows again, or give up after the last attempt; return how many rows were moved."""
        return self.stale()._queue_again()

    def put_all_back(self) -> int:
        """As `put_back`, for every claimed row: for a start at which no worker can be alive."""
        return self.filter(status=Status.RENDERING)._queue_again()

    def _queue_again(self) -> int:
        given_up = self.filter(attempts__gte=ATTEMPTS).update(
            status=Status.ERRORED,
            ended_at=timezone.now(),
            message=f"The worker stopped {ATTEMPTS} times while it drew this picture.",
        )
        return given_up + self.update(status=Status.QUEUED, started_at=None)


class RenderJob(models.Model):
    """What it takes to draw one picture, and what came of it."""

    request = models.JSONField(help_text="punklab.diffusion.request.RenderRequest: all that decides the picture")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.QUEUED, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True, help_text="why it failed, a sentence for people")
    raw = models.CharField(max_length=500, blank=True, help_text="path below STORAGE_DIR: the picture as rendered")
    finished = models.CharField(max_length=500, blank=True, help_text="path below STORAGE_DIR: the 24x24")
    seconds = models.FloatField(null=True, blank=True)
    device = models.CharField(max_length=100, blank=True)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def end(self, status: Status, token: datetime, **facts: Any) -> bool:
        """Write the outcome of the claim made at `token`; False when the row was swept and is no longer ours."""
        return bool(
            type(self)
            ._default_manager.filter(pk=self.pk, status=Status.RENDERING, started_at=token)
            .update(status=status, ended_at=timezone.now(), **facts)
        )

    def give_back(self, token: datetime, message: str) -> bool:
        """Queue the row again after a fault of ours, or give up after the last attempt; False when it is not ours."""
        mine = type(self)._default_manager.filter(pk=self.pk, status=Status.RENDERING, started_at=token)
        if mine.filter(attempts__gte=ATTEMPTS).update(
            status=Status.ERRORED, ended_at=timezone.now(), message=f"Given up after {ATTEMPTS} attempts: {message}"
        ):
            return True
        return bool(mine.update(status=Status.QUEUED, started_at=None, message=message))

    @property
    def finished_path(self) -> Path | None:
        """Where the 24x24 PNG lies; None before it is rendered."""
        return Path(settings.STORAGE_DIR) / self.finished if self.finished else None

    @property
    def raw_path(self) -> Path | None:
        """Where the picture as rendered lies; None before it is rendered."""
        return Path(settings.STORAGE_DIR) / self.raw if self.raw else None
