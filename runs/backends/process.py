"""What runs inside the local backend's own process: one job, from its claim to its end.

Training goes on in the main thread and knows no database. A second thread looks once a second: it writes where the
training is, takes in checkpoints as they appear, and sees whether a person cancelled. When the database goes away it
tries again a second later, while the training goes on.
"""

from __future__ import annotations

import logging
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from punklab.diffusion.base import BaseError, BaseModel
from punklab.diffusion.devices import DeviceError, list_devices, pick_device
from punklab.diffusion.training import Ending, Outcome, Progress, TrainingError, TrainingPlan, train
from runs.backends.local import LOG, holding
from runs.bases import base_for
from runs.checkpoints import CheckpointError, register
from runs.config import ConfigError
from runs.endings import end, sentence_of
from runs.models import Checkpoint, LossPoint, TrainingJob
from runs.package import Package, PackageError, plan_of, write_package

logger = logging.getLogger(__name__)
Status = TrainingJob.Status
T = TypeVar("T")
TRIES = 2  # of a training that raised what it should not: such a fault seldom goes away by itself
DATABASE_GONE = (OperationalError, InterfaceError)
THEIR_FAULT = (TrainingError, CheckpointError, PackageError, ConfigError, BaseError, DeviceError, OSError)


class JobProcess:
    """Carries one job out in this process. `stop` may be called from a signal handler."""

    EVERY = 1.0  # seconds between two looks at row and folder

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self.package = Package(folder=job.path)
        self.stopped = threading.Event()
        self.cancelled = False
        self._over = threading.Event()
        self.progress: Progress | None = None
        self._written: Progress | None = None
        self._taken_in: set[str] = set()
        self._loss_kept_at = 0  # the step of the last point of the curve
        self._failure: Exception | None = None

    def stop(self) -> None:
        """End after the step that is being done, its state saved."""
        self.stopped.set()

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C mean `stop`. For the main thread only."""
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def carry_out(self) -> str:
        """Train, or go on training; return a sentence on how it ended. Raises what is our own fault, after noting it."""
        try:
            return self._alone()
        except OSError as error:  # of the job's folder itself
            message = sentence_of(error, self.job)
            end(self.job, Status.FAILED, message)
            return message

    def _alone(self) -> str:
        with holding(self.job) as mine:
            if not mine:
                return f"Job {self.job.pk} is being trained by another process."
            if not self._claim():
                return f"Job {self.job.pk} is {self.job.get_status_display()}: there is nothing to do."
            try:
                return self._train()
            except THEIR_FAULT as error:
                message = sentence_of(error, self.job)
                self._until_written(lambda: end(self.job, Status.FAILED, message))
                return message
            except Exception as error:
                logger.exception("job %s broke", self.job.pk)
                reason = f"{type(error).__name__}: {error}"
                self._until_written(lambda: self._broken(reason))
                raise

    def _claim(self) -> bool:
        """Make the row ours. A running row whose lock was free belongs to a process that is gone."""
        self.job.refresh_from_db()
        if self.job.cancel_requested_at:
            end(self.job, Status.CANCELLED, "Cancelled.")
        jobs = TrainingJob.objects.all()
        won = jobs.claim(self.job.pk) if self.job.status == Status.QUEUED else jobs.adopt(self.job)
        self.job.refresh_from_db()
        return won

    def _train(self) -> str:
        base = base_for(self.job.run.base_model)
        write_package(self.job)
        plan = plan_of(self.job, base, pick_device(settings.DEVICE))
        watch = threading.Thread(target=self._watch, args=(base,), name="watch", daemon=True)
        watch.start()
        try:
            outcome = train(plan, on_progress=self._note, should_stop=self.stopped.is_set)
        finally:
            self._over.set()
            watch.join()
        if self._failure:
            raise self._failure
        return self._until_written(lambda: self._finish(base, plan, outcome)) or "Stopped while the database was away."

    def _note(self, progress: Progress) -> None:
        self.progress = progress

    def _watch(self, base: BaseModel) -> None:
        try:
            while not self._over.wait(self.EVERY):
                self._attempt(lambda: self._look(base))
        except Exception as error:  # noqa: BLE001 - raised again in the main thread, which it stops
            self._failure = error
            self.stop()
        finally:
            connection.close()

    def _look(self, base: BaseModel) -> None:
        now = self.progress
        if now and now is not self._written:
            mine = self.job.progress(
                step=now.step,
                total_steps=now.total_steps,
                epoch=now.epoch,
                loss=now.loss,
                rate=now.learning_rate,
                eta_seconds=now.eta_seconds,
            )
            self._written = now
            self._keep_loss(now)
        else:
            mine = self.job.progress()
        if not mine or TrainingJob.objects.filter(pk=self.job.pk).exclude(cancel_requested_at=None).exists():
            self.cancelled = True
            self.stop()
        self._take_in(base)

    def _keep_loss(self, now: Progress) -> None:
        """A point of the loss curve, as many over a training as a curve can show; a step done again keeps its first."""
        if now.step < now.total_steps and now.step - self._loss_kept_at < now.total_steps / LossPoint.MOST:
            return
        point = LossPoint(job=self.job, step=now.step, epoch=now.epoch, loss=now.loss)
        LossPoint.objects.bulk_create([point], ignore_conflicts=True)
        self._loss_kept_at = now.step

    def _take_in(self, base: BaseModel) -> None:
        for path in sorted(self.package.output_dir.glob("[!.]*.safetensors")):
            if path.name in self._taken_in:
                continue
            known = self.job.run.checkpoints.count()
            register(path, run=self.job.run, epoch=None, source=Checkpoint.Source.TRAINED, base=base)
            self._taken_in.add(path.name)
            if self.job.run.checkpoints.count() > known:
                TrainingJob.objects.filter(pk=self.job.pk).update(attempts=1)

    def _finish(self, base: BaseModel, plan: TrainingPlan, outcome: Outcome) -> str:
        self._look(base)
        if outcome.ending is Ending.FINISHED:
            notes = " ".join(outcome.notes)
            message = f"{outcome.step} steps in {_duration(outcome.seconds)}, loss {outcome.loss:.4f}. {notes}".strip()
            end(self.job, Status.FINISHED, message, run=_facts(plan, outcome))
            return message
        if self.cancelled:
            message = f"Cancelled at step {outcome.step} of {outcome.total_steps}."
            end(self.job, Status.CANCELLED, message)
            return message
        message = f"Stopped at step {outcome.step} of {outcome.total_steps}; it goes on from there when started again."
        self.job.put_back(message)
        return message

    def _broken(self, reason: str) -> str:
        self.job.refresh_from_db()
        if self.job.attempts < TRIES:
            message = f"Broke off ({reason}) and will be tried again."
            TrainingJob.objects.filter(pk=self.job.pk, status=Status.RUNNING).update(message=message)
        else:
            message = f"Broke off {self.job.attempts} times, at last with {reason}. See {LOG}."
            end(self.job, Status.ERRORED, message)
        return message

    def _attempt(self, write: Callable[[], T]) -> T | None:
        """What `write` returns; None when the database is away."""
        try:
            return write()
        except DATABASE_GONE as error:
            logger.warning("the database is away, the training goes on: %s", str(error).strip().splitlines()[0])
            connection.close()
            return None

    def _until_written(self, write: Callable[[], T]) -> T | None:
        """Repeat `write` until the database takes it; None when this process was told to stop meanwhile."""
        while (result := self._attempt(write)) is None:
            if self.stopped.wait(self.EVERY):
                return self._attempt(write)
        return result


def _facts(plan: TrainingPlan, outcome: Outcome) -> dict[str, object]:
    """What the run's mirrored columns say of a training that is over."""
    sizes = [path.stat().st_size for path in outcome.checkpoints]
    device = next((each.label for each in list_devices() if each.name == plan.device), plan.device)
    return {
        "total_steps": outcome.total_steps,
        "training_duration_hours": round(outcome.seconds / 3600, 4),
        "checkpoint_file_size_mb": max(1, round(max(sizes) / 2**20)) if sizes else None,
        "platform": f"local ({platform.system()})",
        "gpu_type": f"CPU ({device})" if plan.device == "cpu" else device,
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
