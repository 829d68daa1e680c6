"""The controller of rented machines: one process that looks, takes a step for each job, and looks again.

A row in the database says which process it is. Two may run: the second waits. Should both act for a moment, because the first
was held up for longer than its hold, every write is guarded by the state that it expects, and no name is asked for twice.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import InterfaceError, OperationalError, close_old_connections
from django.db.models import Q
from django.utils import timezone

from runs.backends.base import Backend, BackendError, Machine
from runs.lease_moves import Patience
from runs.lease_names import prefix, site
from runs.leasing import Leasing
from runs.models import Checkpoint, Controller, Lease, TrainingJob
from runs.pod_reports import Report
from runs.winding_up import WindingUp

logger = logging.getLogger(__name__)
State, Status = Lease.State, TrainingJob.Status
READERS = 8  # volumes are read by so many threads at once


@dataclass
class ControlLoop:
    """Drives every job of one backend. `tick` is one look; safe to call at any time and in several processes."""

    backend: Backend
    patience: Patience = field(default_factory=Patience)
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{time.monotonic_ns()}")

    reap_at: float = field(default=0.0, init=False)  # by time.monotonic

    def __post_init__(self) -> None:
        self.leasing = Leasing(self.backend, self.patience)
        self.winding_up = WindingUp(self.backend, self.patience)

    def run(self, every: float, stopped: threading.Event) -> None:
        """Tick every so many seconds until told to stop; outlives a database that is away."""
        while not stopped.is_set():
            begun = time.monotonic()
            try:
                if said := self.tick():
                    logger.info("%s", said)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away: %s", str(error).strip().splitlines()[0])
                close_old_connections()
            stopped.wait(max(0.0, every - (time.monotonic() - begun)))
        self.let_go()

    def tick(self) -> str:
        """One look at jobs, leases and the provider, and a step for each; a sentence on what was done, "" for nothing."""
        site()
        if not self._hold():
            return ""
        said = [self._safely(job, partial(self.leasing.renting.want, job)) for job in self._jobs_without_lease()]
        leases = list(Lease.objects.open().filter(job__backend=self.backend.name).select_related("job__run", "job__by"))
        machines = self._look() if leases or self._is_time_to_reap() else None
        if machines is not None:
            said += self._reap(machines)
        reports = self._read([lease for lease in leases if lease.state == State.ACTIVE])
        known = self._known(leases)
        for lease in leases:
            if not self._hold():
                break
            said.append(
                self._safely(
                    lease,
                    partial(self._step, lease, machines, reports.get(lease.pk), known[lease.job.run_id]),
                )
            )
        said += self._wind_up()
        said += self._empty()
        return " ".join(filter(None, said))

    def let_go(self) -> None:
        """Let another process control at once."""
        Controller.objects.filter(pk=1, holder=self.holder).update(holder="", held_until=None)

    def _hold(self) -> bool:
        """Be the controller, or go on being it; False when another process is."""
        now = timezone.now()
        mine = Q(holder=self.holder) | Q(held_until=None) | Q(held_until__lt=now)
        rows = Controller.objects.filter(mine, pk=1)
        return bool(rows.update(holder=self.holder, held_until=now + Controller.HELD, ticked_at=now))

    def _jobs_without_lease(self) -> Sequence[TrainingJob]:
        jobs = TrainingJob.objects.unfinished().filter(backend=self.backend.name).exclude(status=Status.COLLECTING)
        return list(jobs.exclude(leases__in=Lease.objects.open()).select_related("run", "by"))

    def _look(self) -> Sequence[Machine] | None:
        try:
            machines = self.backend.observe()
        except BackendError as error:
            Controller.objects.filter(pk=1).exclude(trouble=str(error)).update(trouble=str(error))
            logger.warning("%s", error)
            return None
        ours = prefix()
        foreign = [
            {"id": each.id, "name": each.name, "phase": each.phase, "price": str(each.price)}
            for each in machines
            if not each.name.startswith(ours)
        ]
        Controller.objects.filter(pk=1).exclude(trouble="", foreign=foreign).update(trouble="", foreign=foreign)
        return machines

    def _is_time_to_reap(self) -> bool:
        """At rest the account is looked at now and then all the same: a machine of ours may turn up late."""
        now = time.monotonic()
        if now < self.reap_at:
            return False
        self.reap_at = now + self.patience.absence.total_seconds()
        return True

    def _reap(self, machines: Sequence[Machine]) -> list[str]:
        """Give back what has our name and no open lease, whatever made it."""
        ours = [machine for machine in machines if machine.name.startswith(prefix())]
        if not ours:
            return []
        wanted = set(Lease.objects.open().filter(name__in=[each.name for each in ours]).values_list("name", flat=True))
        said = []
        for machine in ours:
            if machine.name not in wanted:
                try:
                    self.backend.release(machine.id)
                except BackendError as error:
                    said.append(f"{machine.name} has no lease and could not be given back: {error}")
                else:
                    said.append(f"{machine.name} had no lease and was given back.")
        return said

    def _read(self, leases: Sequence[Lease]) -> Mapping[int, Report]:
        """What the programs of these leases have written; those that cannot be read are left out."""
        if not leases:
            return {}
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._report, leases))
        return {lease.pk: report for lease, report in zip(leases, found, strict=True) if report is not None}

    def _report(self, lease: Lease) -> Report | None:
        try:
            report = self.backend.report(lease)
        except BackendError as error:
            logger.warning("%s: %s", lease, error)
            return None
        if report.trouble:
            logger.warning("%s writes what cannot be read: %s", lease, report.trouble)
        return report

    def _known(self, leases: Sequence[Lease]) -> Mapping[int, Mapping[str, int | None]]:
        """The epochs' files that are here, by run."""
        runs = {lease.job.run_id: {} for lease in leases}  # type: dict[int, dict[str, int | None]]
        rows = Checkpoint.objects.filter(run__in=runs).values_list("run_id", "original_name", "epoch")
        for run, name, epoch in rows if runs else ():
            assert run is not None
            runs[run][name] = epoch
        return runs

    def _step(
        self, lease: Lease, machines: Sequence[Machine] | None, report: Report | None, known: Mapping[str, int | None]
    ) -> str:
        if report is not None and lease.state == State.ACTIVE:
            self.winding_up.keep_up(lease, report, known)
        return self.leasing.advance(lease, machines, report)

    def _wind_up(self) -> list[str]:
        jobs = TrainingJob.objects.filter(backend=self.backend.name, status=Status.COLLECTING).select_related(
            "run", "by"
        )
        return [self._safely(job, partial(self._wind_up_one, job)) for job in jobs if self._hold()]

    def _wind_up_one(self, job: TrainingJob) -> str:
        lease = job.leases.exclude(machine="").select_related("job__run").order_by("-attempt").first()
        return self.winding_up.wind_up(job, lease, self._report(lease) if lease else None)

    def _empty(self) -> list[str]:
        """Delete the folders of jobs whose files are verified here, and of those that nobody went on with."""
        now = timezone.now()
        done = Lease.objects.filter(state=State.RELEASED, emptied_at=None, job__backend=self.backend.name)
        done = done.exclude(machine="").filter(job__status__in=TrainingJob.FINAL)
        done = done.filter(Q(job__status=Status.FINISHED) | Q(job__ended_at__lt=now - self.patience.keep))
        done = done.exclude(job__run__jobs__in=TrainingJob.objects.unfinished()).select_related("job__run")
        return [self._safely(lease, partial(self._empty_one, lease, now)) for lease in done]

    def _empty_one(self, lease: Lease, now: datetime) -> str:
        job = lease.job
        is_old = job.ended_at is not None and job.ended_at < now - self.patience.keep
        if not is_old and job.run.checkpoints.count() < job.run.epochs:  # one did not come: it may still lie there
            return ""
        self.backend.empty(lease)
        Lease.objects.filter(pk=lease.pk).update(emptied_at=now)
        return f"{lease}: its folder on {lease.volume} is deleted."

    def _safely(self, row: object, act: Callable[[], str]) -> str:
        """One job's trouble must not keep the others waiting: their machines cost money meanwhile."""
        try:
            return act()
        except (OperationalError, InterfaceError):
            raise
        except BackendError as error:
            logger.warning("%s: %s", row, error)
        except Exception:
            logger.exception("%s: its step broke", row)
        return ""


def is_controlled() -> bool:
    """Whether a controller has looked lately."""
    return Controller.objects.filter(held_until__gt=timezone.now()).exists()
