"""Where a job is carried out."""

from __future__ import annotations

from functools import cache

from runs.backends.base import Backend as RentingBackend
from runs.backends.local import LocalBackend
from runs.backends.process_base import Backend
from runs.backends.runpod import RunPodBackend
from runs.models import TrainingJob

BACKENDS: dict[str, Backend] = {"local": LocalBackend()}
RENTED = ("runpod",)  # the controller drives these


def backend_of(job: TrainingJob) -> Backend:
    """The backend that a job was given to. Raises KeyError for one that is not driven by the queue."""
    return BACKENDS[job.backend]


@cache
def rented_backend() -> RentingBackend:
    """The provider of rented machines; one for this process, which keeps its connections and its look at the catalog."""
    return RunPodBackend()
