"""From a job that wants a machine to a machine that is ours. What may cost money is written before it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from runs.backends.base import Accepted, Backend, BackendError, Later, Machine, NoCapacity, Offer, Refused
from runs.config import ConfigError
from runs.following import decide_by_result
from runs.lease_moves import MACHINES, Patience, back, decided, is_gone, machines_of, say
from runs.lease_names import attempt_of, leases_of_folder, name_of
from runs.models import Lease, TrainingJob
from runs.package import PackageError
from runs.spending import hours_left, refusal, spent_on

logger = logging.getLogger(__name__)
State, Status = Lease.State, TrainingJob.Status


@dataclass
class Renting:
    """The steps that lead to a machine."""

    backend: Backend
    patience: Patience = field(default_factory=Patience)

    def want(self, job: TrainingJob) -> str:
        """A job that waits for a machine: end it when it was cancelled or has used up its machines, else intend a lease."""
        now = timezone.now()
        if job.status == Status.COLLECTING:
            return ""
        earlier = list(leases_of_folder(job))
        mine = [lease for lease in earlier if lease.job_id == job.pk]
        if job.cancel_requested_at:
            return decided(job, Status.CANCELLED, "Cancelled.")
        if len([lease for lease in mine if lease.machine]) >= MACHINES:
            last = max(mine, key=lambda lease: lease.attempt).reason
            return decided(job, Status.ERRORED, f"{MACHINES} machines in turn did not finish it. The last: {last}")
        hours = hours_left(job, mine, now)
        if hours < 0.1:
            return decided(job, Status.FAILED, "The hours of rented machines that it may use are used up.")
        attempt = attempt_of(earlier)
        _, made = Lease.objects.get_or_create(
            name=name_of(job, attempt), defaults={"job": job, "attempt": attempt, "price": 0}
        )
        return f"{job} wants a machine." if made else ""

    def rent(self, lease: Lease) -> str:
        """Take an intended lease as far as it goes: to a machine, to waiting, or to the end of its job."""
        job, now = lease.job, timezone.now()
        if job.status in TrainingJob.FINAL or job.cancel_requested_at or job.outcome:
            Lease.objects.move(
                lease,
                State.RELEASED,
                come_from=(State.INTENDED,),
                released_at=now,
                reason="It was not needed any more.",
            )
            return f"{lease} is not needed."
        if lease.next_try_at and now < lease.next_try_at:
            return ""
        try:
            offers = [offer for offer in self.backend.offers(job) if offer.key not in lease.refused]
            if not offers:
                return self._wait(lease, "No machine is free" if lease.refused else self.backend.why_none())
            if said := self._not_affordable(lease, offers[0], now):
                return said
            self._take(lease, offers[0])
            self.backend.stage(lease)
            if said := self._ended_before(lease):
                return said
        except (PackageError, ConfigError) as error:
            return self._give_up(lease, f"The package could not be made: {error}")
        except (BackendError, OSError) as error:
            return self._wait(lease, str(error))
        return self._submit(lease)

    def _not_affordable(self, lease: Lease, offer: Offer, now: datetime) -> str:
        mine = list(lease.job.leases.all())
        refused = refusal(spent_on(mine, now), offer.price, hours_left(lease.job, mine, now), now)
        if refused is None:
            return ""
        if refused.for_good:
            return self._give_up(lease, refused.sentence)
        return self._wait(lease, refused.sentence)

    def _take(self, lease: Lease, offer: Offer) -> None:
        facts = {"gpu": offer.gpu, "data_center": offer.data_center, "volume": offer.volume, "price": offer.price}
        Lease.objects.move(lease, State.INTENDED, come_from=(State.INTENDED,), **facts)

    def _ended_before(self, lease: Lease) -> str:
        """A machine that was given up had finished after all; a result of an earlier job makes room."""
        report = self.backend.report(lease)
        if report.result is None:
            return ""
        if lease.job.leases.filter(attempt=report.result.attempt).exists():
            decide_by_result(lease.job, report.result)
            return f"{lease.job} had ended already."
        self.backend.clear_result(lease)
        return ""

    def _submit(self, lease: Lease) -> str:
        job, now = lease.job, timezone.now()
        hours = hours_left(job, list(job.leases.all()), now)
        with transaction.atomic():
            wanted = TrainingJob.objects.select_for_update().filter(pk=job.pk, cancel_requested_at=None, outcome="")
            wanted = wanted.filter(status__in=(Status.QUEUED, Status.STARTING))
            if not wanted.update(status=Status.STARTING, message=f"Asking for {lease.gpu} in {lease.data_center}."):
                return ""
            asked = Lease.objects.move(
                lease,
                State.REQUESTED,
                come_from=(State.INTENDED,),
                requested_at=now,
                deadline_at=now + timedelta(hours=hours),
                missing_since=None,
                gpu=lease.gpu,
                data_center=lease.data_center,
                volume=lease.volume,
                price=lease.price,
            )
        if not asked:
            return ""
        answer = self.backend.submit(lease)
        logger.info("%s: %s", lease, answer)
        if isinstance(answer, Accepted):
            self._adopt(lease, answer.machine)
            return f"{lease} was rented."
        if isinstance(answer, Refused):
            return self._give_up(lease, answer.reason)
        if isinstance(answer, NoCapacity):
            self._not_made(lease, refused=[*lease.refused, f"{lease.gpu} @ {lease.data_center}"])
            return self.rent(lease)
        if isinstance(answer, Later):
            self._not_made(lease, next_try_at=timezone.now() + timedelta(seconds=answer.seconds))
            say(lease, answer.reason)
            return f"{lease}: {answer.reason}"
        return f"{lease}: no answer ({answer.reason}); it is looked for by its name."

    def _not_made(self, lease: Lease, **facts: object) -> None:
        nothing = {"requested_at": None, "deadline_at": None}
        Lease.objects.move(lease, State.INTENDED, come_from=(State.REQUESTED,), **nothing, **facts)

    def _adopt(self, lease: Lease, machine: Machine) -> bool:
        return Lease.objects.move(
            lease,
            State.ACTIVE,
            come_from=(State.REQUESTED,),
            machine=machine.id,
            price=machine.price or lease.price,
            missing_since=None,
        )

    def look_for(self, lease: Lease, machines: Sequence[Machine] | None) -> str:
        """A machine that was asked for and not answered: adopt it by its name, or be sure that it never was."""
        now = timezone.now()
        if found := machines_of(lease, machines):
            self._adopt(lease, found[0])
            return f"{lease} was found."
        assert lease.requested_at is not None
        if machines is None or now - lease.requested_at < max(self.patience.answer, self.patience.visibility):
            return ""
        if not is_gone(lease, now, self.patience):
            return ""
        report = self.backend.report(lease)  # a program may be done before its machine is ever listed
        if report.pod:
            Lease.objects.move(lease, State.ACTIVE, come_from=(State.REQUESTED,), machine=report.pod)
            return f"{lease} had been made."
        Lease.objects.move(
            lease, State.RELEASED, come_from=(State.REQUESTED,), released_at=now, reason="It was never made."
        )
        back(lease, "The request for a machine was lost; it is asked for again.")
        return f"{lease} was never made."

    def _wait(self, lease: Lease, said: str) -> str:
        """Nothing now: the whole round of offers again, later."""
        pause = min(self.patience.longest_retry, self.patience.retry * 2 ** min(lease.tries, 10))
        Lease.objects.move(
            lease,
            State.INTENDED,
            come_from=(State.INTENDED,),
            refused=[],
            tries=lease.tries + 1,
            next_try_at=timezone.now() + pause,
        )
        told = f"{said.rstrip('.')}. Asked again in {max(1, round(pause.total_seconds() / 60))} min."
        back(lease, told)
        say(lease, told)
        return f"{lease} waits: {said}"

    def _give_up(self, lease: Lease, said: str) -> str:
        Lease.objects.move(
            lease,
            State.RELEASED,
            come_from=(State.INTENDED, State.REQUESTED),
            released_at=timezone.now(),
            reason=said,
        )
        return decided(lease.job, Status.FAILED, said)
