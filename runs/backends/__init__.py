"""Where a job is carried out."""

from __future__ import annotations

from runs.backends.local import LocalBackend
from runs.backends.process_base import Backend
from runs.models import TrainingJob

BACKENDS: dict[str, Backend] = {"local": LocalBackend()}
RENTED = ("runpod",)  # the controller drives these


def backend_of(job: TrainingJob) -> Backend:
    """The backend that a job was given to. Raises KeyError for one that this version does not know."""
    return BACKENDS[job.backend]
