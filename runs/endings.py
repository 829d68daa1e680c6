"""A job's last word, and what it means for its run."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from runs.models import Lease, TrainingJob, TrainingRun

Status = TrainingJob.Status
# The lab's words for where the machine is with a run; the verdict stays a person's.
RUN_STATUS = {
    Status.FINISHED: "completed",
    Status.FAILED: "failed",
    Status.ERRORED: "failed",
    Status.CANCELLED: "cancelled",
}


def end(job: TrainingJob, status: TrainingJob.Status, message: str, *, run: dict[str, Any] | None = None) -> bool:
    """End a job and move its run's status with it; False when it had ended already. `run` are columns to fill."""
    with transaction.atomic():
        if not job.end(status, message):
            return False
        TrainingRun.objects.filter(pk=job.run_id).update(status=RUN_STATUS[status], **(run or {}))
        return True


def end_unrented(job: TrainingJob, message: str) -> bool:
    """Cancel a job for which no machine was ever asked for; False where the controller must end it."""
    with transaction.atomic():
        TrainingJob.objects.select_for_update().get(pk=job.pk)  # the controller asks for machines under this lock
        if job.leases.exclude(machine="", state__in=(Lease.State.INTENDED, Lease.State.RELEASED)).exists():
            return False
        job.leases.filter(state=Lease.State.INTENDED).update(
            state=Lease.State.RELEASED, released_at=timezone.now(), reason=message
        )
        return end(job, Status.CANCELLED, message)


def sentence_of(error: Exception, job: TrainingJob) -> str:
    """What is wrong and what to do, for people: the system's errors name neither the file nor the mend."""
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or job.path
        return f"{place}: {error.strerror}; mend that and start the run again: it goes on from its last saved state."
    return str(error)
