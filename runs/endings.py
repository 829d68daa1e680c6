"""A job's last word, and what it means for its run."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from runs.models import TrainingJob, TrainingRun

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


def sentence_of(error: Exception, job: TrainingJob) -> str:
    """What is wrong and what to do, for people: the system's errors name neither the file nor the mend."""
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or job.path
        return f"{place}: {error.strerror}; mend that and start the run again: it goes on from its last saved state."
    return str(error)
