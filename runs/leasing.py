"""One step of a lease and its job. Level-triggered: every step looks at rows and provider anew and remembers nothing.

A step writes at most what it has just learned, so that a controller may die between any two of them.
`docs/lifecycle.md` draws both machines.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from runs.backends.base import Backend, BackendError, Machine, MachineState
from runs.following import decide, decide_by_result, follow
from runs.lease_moves import Patience, back, is_gone, let_go, machines_of, say
from runs.models import Lease, TrainingJob
from runs.pod_reports import Report
from runs.renting import Renting
from runs.spending import is_spent, spent_on

logger = logging.getLogger(__name__)
State, Status = Lease.State, TrainingJob.Status


@dataclass
class Leasing:
    """The steps of an open lease."""

    backend: Backend
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self.renting = Renting(self.backend, self.patience)

    def advance(self, lease: Lease, machines: Sequence[Machine] | None, report: Report | None) -> str:
        """Take the next step of an open lease. `machines` None: the provider could not be asked this time."""
        if lease.state == State.INTENDED:
            return self.renting.rent(lease)
        if lease.state == State.RELEASING:
            return self._release(lease, machines)
        if lease.state == State.REQUESTED:
            return self.renting.look_for(lease, machines)
        return self._use(lease, machines, report)

    def _use(self, lease: Lease, machines: Sequence[Machine] | None, report: Report | None) -> str:
        """An active machine."""
        if lease.job.status in TrainingJob.FINAL:
            let_go(lease, "Its job had ended.")
            return f"{lease}: its job had ended."
        if report is not None:
            follow(lease, report, timezone.now())
            if said := self._take_in(lease, report):
                return said
        found = machines_of(lease, machines)
        for extra in found[1:]:  # a request that was carried out twice
            self.backend.release(extra.id)
        return self._watch(lease, found[0], report) if found else self._missed(lease, machines)

    def _watch(self, lease: Lease, machine: Machine, report: Report | None) -> str:
        """An active machine that the provider lists."""
        now = timezone.now()
        Lease.objects.move(
            lease,
            State.ACTIVE,
            come_from=(State.ACTIVE,),
            seen_at=now,
            missing_since=None,
            price=machine.price or lease.price,
        )
        assert lease.requested_at is not None
        assert lease.deadline_at is not None
        if machine.state is MachineState.ENDED:
            return self._interrupted(lease, f"The machine stopped ({machine.phase}) before its program was done.")
        if now > lease.deadline_at - self.patience.before_deadline:
            return self._cut(lease, "Its time on rented machines was over.")
        if said := self._must_stop(lease, now):
            return self._stop(lease, said)
        if lease.began_at is None:
            if now - lease.requested_at > self.patience.provision:
                return self._interrupted(lease, f"The machine gave no sign of life ({machine.phase}).")
            say(lease, f"{machine.phase.capitalize()} on {lease.gpu} in {lease.data_center}.")
        elif (
            lease.alive_at
            and now - lease.alive_at > self.patience.silence
            and report is not None
            and not report.trouble
        ):
            return self._interrupted(lease, f"Its program fell silent in {lease.phase}.")
        return ""

    def _missed(self, lease: Lease, machines: Sequence[Machine] | None) -> str:
        """An active machine that the provider does not list, or did not say."""
        now = timezone.now()
        if machines is None or self._may_not_be_visible(lease, now) or not is_gone(lease, now, self.patience):
            return ""
        return self._interrupted(lease, "The machine vanished.")

    def _may_not_be_visible(self, lease: Lease, now: datetime) -> bool:
        """Whether a machine that was made may only not be listed yet."""
        assert lease.requested_at is not None
        return lease.seen_at is None and now - lease.requested_at < self.patience.visibility

    def _must_stop(self, lease: Lease, now: datetime) -> str:
        """Why the program is to end before it is done; "" where it is not."""
        job = lease.job
        if job.cancel_requested_at:
            return "Cancelled."
        said = is_spent(spent_on(job.leases.all(), now), lease.price, now, self.patience.margin)
        if said and not job.ending:
            TrainingJob.objects.filter(pk=job.pk, ending="").update(ending=said)
        return said

    def _stop(self, lease: Lease, said: str) -> str:
        """Let the program save and end; end the machine when it does not, or has not begun."""
        now = timezone.now()
        if lease.began_at is None or (lease.stop_asked_at and now - lease.stop_asked_at > self.patience.stop):
            return self._cut(lease, said)
        if lease.stop_asked_at:
            return ""
        try:
            self.backend.request_stop(lease)
        except BackendError as error:
            logger.warning("%s could not be told to end: %s", lease, error)
        Lease.objects.filter(pk=lease.pk, stop_asked_at=None).update(stop_asked_at=now)
        return f"{lease} was told to end: {said}"

    def _take_in(self, lease: Lease, report: Report) -> str:
        if report.result is None:
            return ""
        if report.result.state == "interrupted":
            return self._interrupted(lease, report.result.reason or "Its program was interrupted.")
        decide_by_result(lease.job, report.result)
        let_go(lease, report.result.reason or "Its program is done.")
        return f"{lease} is done: {report.result.reason}"

    def _cut(self, lease: Lease, said: str) -> str:
        """End machine and job; what it wrote is collected when it is sure to write no more."""
        outcome = Status.CANCELLED if lease.job.cancel_requested_at else Status.FAILED
        decide(lease.job, outcome, said)
        let_go(lease, said)
        return f"{lease} is ended: {said}"

    def _interrupted(self, lease: Lease, said: str) -> str:
        """Give the machine back; the job goes on with another one, unless its volume says then that it had ended."""
        let_go(lease, said)
        back(lease, said)
        return f"{lease} is given back: {said}"

    def _release(self, lease: Lease, machines: Sequence[Machine] | None) -> str:
        """Give a machine back until the provider says that it is."""
        now = timezone.now()
        listed = machines_of(lease, machines)
        targets = {machine.id for machine in listed} | ({lease.machine} if lease.machine else set())
        try:
            deleted = [self.backend.release(machine) for machine in sorted(targets)]
        except BackendError as error:
            logger.warning("%s could not be given back: %s", lease, error)
            return ""
        if not any(deleted):  # a machine that the provider does not know may only not be visible yet
            if listed or machines is None:
                return ""
            if self._may_not_be_visible(lease, now) or not is_gone(lease, now, self.patience):
                return ""
        gone = now if any(deleted) else lease.missing_since or now  # it ended itself then
        Lease.objects.move(lease, State.RELEASED, come_from=(State.RELEASING,), released_at=gone)
        return f"{lease} is given back."
