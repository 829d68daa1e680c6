"""The moves that every step of a lease is made of, and how long what may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from runs.backends.base import Machine
from runs.endings import end
from runs.following import decide
from runs.models import Lease, TrainingJob

State, Status = Lease.State, TrainingJob.Status
MACHINES = 3  # that a job may wear out before it is given up


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long what may take."""

    answer: timedelta = timedelta(seconds=75)  # to a request for a machine: the client gives up after 60 s
    visibility: timedelta = timedelta(minutes=5)  # of a machine that may have been made
    absence: timedelta = timedelta(minutes=1)  # between two lists without a machine, before it counts as gone
    provision: timedelta = timedelta(minutes=20)  # until the first sign of life of the program
    silence: timedelta = timedelta(minutes=10)  # of the program
    stop: timedelta = timedelta(minutes=3)  # between asking the program to end and ending the machine
    before_deadline: timedelta = timedelta(minutes=2)  # the controller ends a machine before its deadline by
    margin: timedelta = timedelta(minutes=5)  # of a machine's time kept below the caps
    retry: timedelta = timedelta(minutes=1)  # after the first round without capacity; doubled up to:
    longest_retry: timedelta = timedelta(minutes=15)
    collect: timedelta = timedelta(minutes=30)  # trying to bring files home that do not come
    keep: timedelta = timedelta(days=7)  # what a job that can go on left on its volume


def is_gone(lease: Lease, now: datetime, patience: Patience) -> bool:
    """Absent from two lists, a while apart: a single one says nothing."""
    if lease.missing_since is None:
        Lease.objects.filter(pk=lease.pk, missing_since=None).update(missing_since=now)
        return False
    return now - lease.missing_since >= patience.absence


def let_go(lease: Lease, said: str) -> None:
    """Begin to give an active machine back."""
    Lease.objects.move(
        lease,
        State.RELEASING,
        come_from=(State.ACTIVE, State.REQUESTED),
        reason=said,
        release_asked_at=timezone.now(),
    )


def decided(job: TrainingJob, outcome: TrainingJob.Status, said: str) -> str:
    """Decide, and end at once where nothing was ever rented."""
    decide(job, outcome, said)
    if not job.leases.exclude(machine="").exists():
        end(job, outcome, said)
    return f"{job}: {said}"


def back(lease: Lease, said: str) -> None:
    """Let the lease's job wait for another machine."""
    TrainingJob.objects.filter(pk=lease.job_id, status__in=(Status.STARTING, Status.RUNNING)).update(
        status=Status.QUEUED, message=said, eta_seconds=None
    )


def say(lease: Lease, said: str) -> None:
    """Write a sentence for people on a job that waits for its machine."""
    TrainingJob.objects.filter(
        pk=lease.job_id, status__in=(Status.QUEUED, Status.STARTING), cancel_requested_at=None
    ).exclude(message=said).update(message=said)


def machines_of(lease: Lease, machines: Sequence[Machine] | None) -> list[Machine]:
    """The machines of a lease, the oldest first; several when a request was carried out more than once."""
    found = [each for each in machines or () if each.name == lease.name or (lease.machine and each.id == lease.machine)]
    return sorted(found, key=lambda each: (each.id != lease.machine, each.created))
