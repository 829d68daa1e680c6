"""What the queue does for runs. Each task takes a job's key, or none, and is safe to run twice."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from runs.backends import BACKENDS, backend_of
from runs.backends.local import LOG
from runs.endings import end, sentence_of
from runs.models import TrainingJob

logger = logging.getLogger(__name__)
Status = TrainingJob.Status
PATIENCE = timedelta(minutes=3)  # with a cancelled job whose process goes on
SILENCE = timedelta(minutes=10)  # of a job whose process cannot be seen from this machine


def launch(pk: int) -> str:
    """Start the process of a queued job and return a sentence; the training itself outlives this task."""
    job = TrainingJob.objects.select_related("run").get(pk=pk)
    if job.status != Status.QUEUED or job.cancel_requested_at:
        return f"Job {pk} is {job.get_status_display()}: nothing to start."
    return _begin(job)


def reconcile() -> str:
    """Look after every job that has not ended: start what has no process, end what was cancelled or gave up.

    Called every minute by the queue and whenever the lab starts. Returns a sentence.
    """
    jobs = TrainingJob.objects.unfinished().filter(backend__in=BACKENDS).select_related("run")
    done = [sentence for job in jobs if (sentence := _look_after(job))]
    return " ".join(done) or "Nothing to do."


def _look_after(job: TrainingJob) -> str:
    if not is_lost(job):
        return _end_by_force(job)
    if job.cancel_requested_at:
        end(job, Status.CANCELLED, "Cancelled.")
        return f"{job} was cancelled."
    if job.attempts >= TrainingJob.ATTEMPTS:
        message = f"Its process ended {job.attempts} times before it could save another epoch; see {job.folder}/{LOG}."
        end(job, Status.ERRORED, message)
        return f"{job}: {message}"
    return _begin(job)


def _begin(job: TrainingJob) -> str:
    logger.info("starting the process of %s", job)
    try:
        backend_of(job).start(job)
    except OSError as error:  # a full disk must not keep the next job waiting
        message = sentence_of(error, job)
        end(job, Status.FAILED, message)
        return f"{job}: {message}"
    return f"{job} was started."


def _end_by_force(job: TrainingJob) -> str:
    asked = job.cancel_requested_at
    if asked is None or timezone.now() - asked < PATIENCE or not backend_of(job).kill(job):
        return ""
    return f"{job} did not end when it was cancelled, and was ended by force."


def is_lost(job: TrainingJob) -> bool:
    """Whether an unfinished job has no process."""
    alive = backend_of(job).is_alive(job)
    if alive is None and job.status == Status.RUNNING:  # on another machine that shares the database
        return TrainingJob.objects.silent(SILENCE).filter(pk=job.pk).exists()
    return not alive
