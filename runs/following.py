"""A job's row follows what its machine's program writes; its epochs are brought home and registered."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models.functions import Coalesce

from punklab.diffusion.base import BaseError
from runs.backends.base import Backend, BackendError
from runs.bases import base_for
from runs.checkpoints import CheckpointError, register
from runs.endings import end
from runs.models import Checkpoint, Lease, LossPoint, TrainingJob
from runs.pod_reports import PodFile, PodResult, Report

logger = logging.getLogger(__name__)
Status = TrainingJob.Status


def follow(lease: Lease, report: Report, now: datetime) -> None:
    """Write what a report says into lease, job and loss curve, all or nothing."""
    status = report.status
    with transaction.atomic():
        if status is not None and status.seq != lease.seq:
            facts = {
                "seq": status.seq,
                "alive_at": now,
                "began_at": lease.began_at or now,
                "phase": status.phase,
                "free_bytes": status.free_bytes,
                "seconds": status.seconds,
            }
            _set(lease, **facts)
            TrainingJob.objects.filter(pk=lease.job_id, status__in=(Status.STARTING, Status.RUNNING)).update(
                status=Status.RUNNING,
                started_at=Coalesce("started_at", now),
                heartbeat_at=now,
                step=status.step,
                total_steps=status.total_steps,
                epoch=status.epoch,
                loss=status.loss,
                eta_seconds=status.eta_seconds,
                message=status.message or (report.problems[-1] if report.problems else ""),
            )
        if report.events_read != lease.events_read:
            points = [
                LossPoint(job=lease.job, step=step, epoch=epoch, loss=loss) for step, epoch, loss in report.losses
            ]
            LossPoint.objects.bulk_create(points, ignore_conflicts=True)
            _set(lease, events_read=report.events_read)


def decide(job: TrainingJob, outcome: TrainingJob.Status, sentence: str) -> bool:
    """Write down how a job will end, once; from here on its epochs are collected. False when that was decided before."""
    decided = TrainingJob.objects.filter(pk=job.pk, outcome="").exclude(status__in=TrainingJob.FINAL)
    if not decided.update(status=Status.COLLECTING, outcome=outcome, ending=sentence, eta_seconds=None):
        return False
    job.status, job.outcome, job.ending = Status.COLLECTING, outcome, sentence
    return True


def decide_by_result(job: TrainingJob, result: PodResult) -> bool:
    """The same, from what the program says of its end."""
    if result.state == "finished":
        return decide(job, Status.FINISHED, result.reason)
    if job.cancel_requested_at and result.state == "cancelled":
        return decide(job, Status.CANCELLED, result.reason)
    job.refresh_from_db(fields=["ending"])
    return decide(job, Status.FAILED, job.ending or result.reason)


def bring_home(backend: Backend, lease: Lease, files: Iterable[PodFile], known: dict[str, int | None]) -> list[str]:
    """Collect and register the files that are not in `known` (names of this run's files); return what went wrong.

    `known` takes up what came home. An epoch that an earlier training wrote with other weights keeps those."""
    troubles = []
    for file in files:
        if file.name in known:
            continue
        try:
            _bring(backend, lease, file)
        except (BackendError, OSError, BaseError) as error:
            troubles.append(f"{file.name} is not here yet: {error}")
            continue
        except CheckpointError as error:
            logger.warning("%s: %s", lease, error)
            troubles.append(f"{file.name} was brought home, and is not used: {error}")
        known[file.name] = file.epoch
    return troubles


def close(job: TrainingJob, lease: Lease | None, troubles: list[str], now: datetime) -> bool:
    """Give a job its last word; False when it had ended already."""
    leases = list(job.leases.all())
    columns: dict[str, object] = {"platform": "RunPod"}
    if lease is not None:
        columns["gpu_type"] = lease.gpu
    hours = sum((float(each.hours(now)) for each in leases), 0.0)
    if job.outcome == Status.FINISHED:
        sizes = job.run.checkpoints.values_list("size", flat=True)
        columns |= {
            "total_steps": job.total_steps or None,
            "training_duration_hours": round(hours, 4),
            "checkpoint_file_size_mb": max(1, round(max(sizes) / 2**20)) if sizes else None,
        }
    n_epochs = job.run.checkpoints.count()
    here = f"{n_epochs} epoch{'' if n_epochs == 1 else 's'} here."
    return end(job, Status(job.outcome), " ".join([job.ending, *troubles, here]).strip(), run=columns)


def place_of(job: TrainingJob, name: str) -> Path:
    """Where an epoch's file of a job lies here."""
    return job.path / "output" / name


def _bring(backend: Backend, lease: Lease, file: PodFile) -> None:
    job = lease.job
    target = place_of(job, file.name)
    backend.collect(lease, file, target)
    register(target, run=job.run, epoch=file.epoch, source=Checkpoint.Source.TRAINED, base=base_for(job.run.base_model))


def _set(lease: Lease, **facts: object) -> None:
    Lease.objects.filter(pk=lease.pk).update(**facts)
    for name, value in facts.items():
        setattr(lease, name, value)
