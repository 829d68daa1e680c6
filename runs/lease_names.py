"""Names at the provider: what is ours is told by its name alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db.models import QuerySet

from runs.models import Controller, Lease, TrainingJob


def site() -> str:
    """Eight hex digits that tell this lab from every other one on the same account; made once."""
    row, _ = Controller.objects.get_or_create(pk=1, defaults={"site": uuid.uuid4().hex[:8]})
    return row.site


def prefix() -> str:
    """How the name of every machine of this lab begins."""
    return f"lora-{site()}-"


def key_of(job: TrainingJob) -> str:
    """The job's folder on a volume: jobs that go on from each other share it, as they share their folder here."""
    return f"{site()}-{job.folder.removeprefix('training/').replace('/', '-')}"


def name_of(job: TrainingJob, attempt: int) -> str:
    """The name of a machine for one attempt: never used twice."""
    return f"lora-{key_of(job)}-a{attempt}"


def key_in(lease: Lease) -> str:
    """The job's folder on a volume, read off the machine's name: without a query."""
    return lease.name.removeprefix("lora-").rpartition("-a")[0]


def leases_of_folder(job: TrainingJob) -> QuerySet[Lease]:
    """The leases of this job and of those that it goes on from."""
    return Lease.objects.filter(job__folder=job.folder)


def attempt_of(leases: Iterable[Lease]) -> int:
    """The number of the next attempt."""
    return 1 + max((lease.attempt for lease in leases), default=0)
