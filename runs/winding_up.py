"""A job's files come home, and when all are here, or will not come, the job gets its last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from runs.backends.base import Backend, BackendError
from runs.following import bring_home, close
from runs.lease_moves import Patience
from runs.models import Lease, TrainingJob
from runs.pod_reports import PodFile, Report

State = Lease.State


@dataclass
class WindingUp:
    """The steps that lead to the end. `set_aside` holds files that came home and cannot be used, by job."""

    backend: Backend
    patience: Patience = field(default_factory=Patience)
    set_aside: dict[int, dict[str, str]] = field(default_factory=dict)

    def keep_up(self, lease: Lease, report: Report, known: Mapping[str, int | None]) -> None:
        """Bring home the epochs that a running program has finished."""
        files = report.status.files if report.status else ()
        self._collect(lease, files, dict(known))

    def wind_up(self, job: TrainingJob, lease: Lease | None, report: Report | None) -> str:
        """A job that is over but for its files: when all are here, or will not come, it gets its last word."""
        now = timezone.now()
        last = lease or job.leases.exclude(machine="").order_by("-attempt").first()
        if last is None:
            return job.ending if close(job, None, [], now) else ""
        over = report.result if report else None
        if over is None and last.state != State.RELEASED:
            return ""
        known = dict(job.run.checkpoints.values_list("original_name", "epoch"))
        try:
            files = list(over.files if over else self._left_behind(last))
            troubles = self._collect(last, files, known)
        except BackendError as error:
            troubles, files = [f"Its volume could not be looked at: {error}"], []
        waited = now - (last.released_at or last.release_asked_at or now)
        missing = [file for file in files if file.name not in known]
        if (missing or (troubles and not files)) and waited < self.patience.collect:
            return ""
        return job.ending if close(job, last, troubles, now) else ""

    def _left_behind(self, lease: Lease) -> list[PodFile]:
        """What a machine that said no last word has finished: what its status names, and whole files that it does not."""
        report = self.backend.report(lease)
        named = {file.name: file for file in (report.status.files if report.status else ())}
        for name, size in self.backend.written(lease):
            named.setdefault(name, PodFile(name=name, epoch=None, size=size, sha256=""))
        return list(named.values())

    def _collect(self, lease: Lease, files: Sequence[PodFile], known: dict[str, int | None]) -> list[str]:
        aside = self.set_aside.setdefault(lease.job_id, {})
        known |= dict.fromkeys(aside)
        troubles = bring_home(self.backend, lease, files, known)
        for trouble in troubles:
            name = trouble.split(" ", 1)[0]
            if name in known:
                aside[name] = trouble
        return [*troubles, *(said for name, said in aside.items() if said not in troubles)]
