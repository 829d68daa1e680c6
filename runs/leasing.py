"""One step of a lease and its job. Level-triggered: every step looks at rows and provider anew and remembers nothing.

A step writes at most what it has just learned, so that a controller may die between any two of them. What may have cost
money is written before it is asked for. `docs/lifecycle.md` draws both machines.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from runs.backends.base import Accepted, Backend, BackendError, Later, Machine, MachineState, NoCapacity, Offer, Refused
from runs.endings import end
from runs.following import bring_home, close, decide, decide_by_result, follow
from runs.lease_names import attempt_of, leases_of_folder, name_of
from runs.models import Lease, TrainingJob
from runs.package import PackageError
from runs.pod_reports import PodFile, Report
from runs.spending import hours_left, is_spent, refusal, spent_on

logger = logging.getLogger(__name__)
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


@dataclass
class Steps:
    """The steps, for one backend. `set_aside` holds files that came home and cannot be used, by job."""

    backend: Backend
    patience: Patience = field(default_factory=Patience)
    set_aside: dict[int, dict[str, str]] = field(default_factory=dict)

    # A job without a machine -----------------------------------------------------------------------------------------

    def want(self, job: TrainingJob) -> str:
        """A job that waits for a machine: end it when it was cancelled or has used up its machines, else intend a lease."""
        now = timezone.now()
        if job.status == Status.COLLECTING:
            return self.wind_up(job, None, None)
        earlier = list(leases_of_folder(job))
        mine = [lease for lease in earlier if lease.job_id == job.pk]
        if job.cancel_requested_at:
            return self._decided(job, Status.CANCELLED, "Cancelled.")
        if len([lease for lease in mine if lease.machine]) >= MACHINES:
            last = max(mine, key=lambda lease: lease.attempt).reason
            return self._decided(
                job, Status.ERRORED, f"{MACHINES} machines in turn did not finish it. The last: {last}"
            )
        hours = hours_left(job, mine, now)
        if hours < 0.1:
            return self._decided(job, Status.FAILED, f"Its {job.max_hours:g} hours of rented machines are used up.")
        attempt = attempt_of(earlier)
        _, made = Lease.objects.get_or_create(
            name=name_of(job, attempt), defaults={"job": job, "attempt": attempt, "price": 0}
        )
        return f"{job} wants a machine." if made else ""

    # A lease ---------------------------------------------------------------------------------------------------------

    def advance(self, lease: Lease, machines: Sequence[Machine] | None, report: Report | None) -> str:
        """Take the next step of an open lease. `machines` None: the provider could not be asked this time."""
        if lease.state == State.INTENDED:
            return self._rent(lease)
        if lease.state == State.RELEASING:
            return self._release(lease, machines)
        if lease.state == State.ACTIVE and lease.job.status in TrainingJob.FINAL:
            self._let_go(lease, "Its job had ended.")
            return f"{lease}: its job had ended."
        if report is not None:
            follow(lease, report, timezone.now())
            if said := self._take_in(lease, report):
                return said
        found = _mine(lease, machines)
        if lease.state == State.REQUESTED:
            return self._look_for(lease, machines, found)
        if found:
            return self._watch(lease, found[0], report)
        return self._missed(lease, machines)

    def _rent(self, lease: Lease) -> str:
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
        except (PackageError, ValueError) as error:
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
            return self._rent(lease)
        if isinstance(answer, Later):
            self._not_made(lease, next_try_at=timezone.now() + timedelta(seconds=answer.seconds))
            self._say(lease, answer.reason)
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
            seen_at=timezone.now(),
            missing_since=None,
        )

    def _look_for(self, lease: Lease, machines: Sequence[Machine] | None, found: Sequence[Machine]) -> str:
        """A machine that was asked for and not answered: adopt it by its name, or be sure that it never was."""
        now = timezone.now()
        if found:
            self._adopt(lease, found[0])
            for extra in found[1:]:
                self.backend.release(extra.id)
            return f"{lease} was found."
        assert lease.requested_at is not None
        if machines is None or now - lease.requested_at < max(self.patience.answer, self.patience.visibility):
            return ""
        if not self._is_gone(lease, now):
            return ""
        report = self.backend.report(lease)  # a program may be done before its machine is ever listed
        if report.pod:
            Lease.objects.move(lease, State.ACTIVE, come_from=(State.REQUESTED,), machine=report.pod)
            return f"{lease} had been made."
        Lease.objects.move(
            lease, State.RELEASED, come_from=(State.REQUESTED,), released_at=now, reason="It was never made."
        )
        self._back(lease, "The request for a machine was lost; it is asked for again.")
        return f"{lease} was never made."

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
            self._say(lease, f"{machine.phase.capitalize()} on {lease.gpu} in {lease.data_center}.")
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
        if machines is None or not self._is_gone(lease, now):
            return ""
        return self._interrupted(lease, "The machine vanished.")

    def _is_gone(self, lease: Lease, now: datetime) -> bool:
        """Absent from two lists, a while apart: a single one says nothing."""
        if lease.missing_since is None:
            Lease.objects.filter(pk=lease.pk, missing_since=None).update(missing_since=now)
            return False
        return now - lease.missing_since >= self.patience.absence

    # How it goes on --------------------------------------------------------------------------------------------------

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
        self._let_go(lease, report.result.reason or "Its program is done.")
        return f"{lease} is done: {report.result.reason}"

    def _cut(self, lease: Lease, said: str) -> str:
        """End machine and job; what it wrote is collected when it is sure to write no more."""
        outcome = Status.CANCELLED if lease.job.cancel_requested_at else Status.FAILED
        decide(lease.job, outcome, said)
        self._let_go(lease, said)
        return f"{lease} is ended: {said}"

    def _interrupted(self, lease: Lease, said: str) -> str:
        """Give the machine back; the job goes on with another one, unless its volume says then that it had ended."""
        self._let_go(lease, said)
        self._back(lease, said)
        return f"{lease} is given back: {said}"

    def _let_go(self, lease: Lease, said: str) -> None:
        Lease.objects.move(
            lease,
            State.RELEASING,
            come_from=(State.ACTIVE, State.REQUESTED),
            reason=said,
            release_asked_at=timezone.now(),
        )

    def _release(self, lease: Lease, machines: Sequence[Machine] | None) -> str:
        """Give a machine back until the provider says that it is."""
        now = timezone.now()
        listed = _mine(lease, machines)
        targets = {machine.id for machine in listed} | ({lease.machine} if lease.machine else set())
        try:
            deleted = [self.backend.release(machine) for machine in sorted(targets)]
        except BackendError as error:
            logger.warning("%s could not be given back: %s", lease, error)
            return ""
        if not any(deleted):  # a machine that the provider does not know may only not be visible yet
            if listed or machines is None:
                return ""
            young = lease.seen_at is None and lease.requested_at and now - lease.requested_at < self.patience.visibility
            if young or not self._is_gone(lease, now):
                return ""
        Lease.objects.move(lease, State.RELEASED, come_from=(State.RELEASING,), released_at=now)
        return f"{lease} is given back."

    # The end ---------------------------------------------------------------------------------------------------------

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

    # Words and rows --------------------------------------------------------------------------------------------------

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
        self._back(lease, told)
        self._say(lease, told)
        return f"{lease} waits: {said}"

    def _give_up(self, lease: Lease, said: str) -> str:
        Lease.objects.move(
            lease,
            State.RELEASED,
            come_from=(State.INTENDED, State.REQUESTED),
            released_at=timezone.now(),
            reason=said,
        )
        return self._decided(lease.job, Status.FAILED, said)

    def _decided(self, job: TrainingJob, outcome: TrainingJob.Status, said: str) -> str:
        """Decide, and end at once where nothing was ever rented."""
        decide(job, outcome, said)
        if not job.leases.exclude(machine="").exists():
            end(job, outcome, said)
        return f"{job}: {said}"

    def _back(self, lease: Lease, said: str) -> None:
        TrainingJob.objects.filter(pk=lease.job_id, status__in=(Status.STARTING, Status.RUNNING)).update(
            status=Status.QUEUED, message=said, eta_seconds=None
        )

    def _say(self, lease: Lease, said: str) -> None:
        TrainingJob.objects.filter(
            pk=lease.job_id, status__in=(Status.QUEUED, Status.STARTING), cancel_requested_at=None
        ).exclude(message=said).update(message=said)


def _mine(lease: Lease, machines: Sequence[Machine] | None) -> list[Machine]:
    """The machines of a lease, the oldest first; several when a request was carried out more than once."""
    found = [each for each in machines or () if each.name == lease.name or (lease.machine and each.id == lease.machine)]
    return sorted(found, key=lambda each: (each.id != lease.machine, each.created))
