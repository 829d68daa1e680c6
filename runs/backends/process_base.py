"""What the queue needs of a place that trains in processes of our own."""

from __future__ import annotations

from typing import Protocol

from runs.models import TrainingJob


class Backend(Protocol):
    def start(self, job: TrainingJob) -> None:
        """Begin or go on with a job and return at once. Where it is being trained already, nothing happens."""

    def is_alive(self, job: TrainingJob) -> bool | None:
        """Whether the job is being trained now; None where that cannot be told from this machine."""

    def stop(self, job: TrainingJob) -> bool:
        """Ask the training to save its state and end; False when there is none. The job can go on later."""

    def kill(self, job: TrainingJob) -> bool:
        """End a training that did not end when it was asked to; False when there is none."""
