"""Training on this machine: a process of its own, outside the queue's worker and its timeout.

The process holds a lock on a file in the job's folder from its first to its last moment. The kernel gives the lock back
however the process ends, so the lock, not a process id that may be used again, says whether a job is being trained.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from runs.models import TrainingJob

LOCK = "lock"
LOG = "training.log"
PATIENCE = 1.0  # seconds: another process that only looks at the lock holds it for an instant

# Kept so that ended children are collected; a child that outlives this process is the system's.
_children: list[subprocess.Popen[bytes]] = []


class LocalBackend:
    def start(self, job: TrainingJob) -> None:
        """Start `manage.py run_training` for the job. Two such processes are no harm: the lock lets one through."""
        _children[:] = [child for child in _children if child.poll() is None]
        if self.is_alive(job):
            return
        job.path.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name != "Q_CLUSTER_NAME"}
        with (job.path / LOG).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "run_training", str(job.pk)],
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _children.append(child)

    def is_alive(self, job: TrainingJob) -> bool | None:
        """Whether a process on this machine holds the job's lock; None when the job never ran on this machine."""
        try:
            with (job.path / LOCK).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except BlockingIOError:
            return True
        return False

    def stop(self, job: TrainingJob) -> bool:
        """Ask the training to save its state and end; False when there is none."""
        return self._signal(job, signal.SIGTERM)

    def kill(self, job: TrainingJob) -> bool:
        """End a process that does not answer; False when there is none."""
        return self._signal(job, signal.SIGKILL)

    def _signal(self, job: TrainingJob, number: signal.Signals) -> bool:
        if not self.is_alive(job):
            return False
        try:
            os.kill(int((job.path / LOCK).read_text()), number)
        except (ValueError, ProcessLookupError):  # it is just beginning, or just ended
            return False
        return True


@contextmanager
def holding(job: TrainingJob) -> Iterator[bool]:
    """Hold the job's lock; yields False when another process trains it."""
    job.path.mkdir(parents=True, exist_ok=True)
    with (job.path / LOCK).open("a+") as file:
        won = _locked(file.fileno())
        if won:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield won


def _locked(handle: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True
