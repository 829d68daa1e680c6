"""What rented machines cost, and what the caps still allow. US dollars; a day and a month are UTC's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q

from runs.models import Lease, TrainingJob

CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a machine may not be rented. `for_good`: waiting would not help."""

    sentence: str
    for_good: bool


@dataclass(frozen=True, kw_only=True)
class Spent:
    """US dollars spent so far, and what the open leases may still add to that at worst."""

    day: Decimal
    month: Decimal
    open_worst: Decimal


def spent(now: datetime) -> Spent:
    """What was spent today and this month. One query."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    leases = list(Lease.objects.filter(Q(released_at=None) | Q(released_at__gte=month)).exclude(requested_at=None))
    return Spent(
        day=sum((_since(lease, day, now) for lease in leases), Decimal(0)),
        month=sum((_since(lease, month, now) for lease in leases), Decimal(0)),
        open_worst=sum((lease.worst_cost(now) - lease.cost(now) for lease in leases), Decimal(0)),
    )


def spent_on(leases: Iterable[Lease], now: datetime | None = None) -> Decimal:
    """What these leases have cost so far."""
    return sum((lease.cost(now) for lease in leases), Decimal(0))


def hours_left(job: TrainingJob, leases: Sequence[Lease], now: datetime) -> float:
    """Hours of rented machines that the job may still use, all its attempts together."""
    used = sum((lease.hours(now) for lease in leases), Decimal(0))
    return max(0.0, (job.max_hours or settings.RUNPOD_MAX_HOURS) - float(used))


def refusal(job_spent: Decimal, price: Decimal, hours: float, now: datetime) -> Refusal | None:
    """Why a machine at `price` an hour may not be rented for `hours`; None where every cap allows the worst case."""
    worst = price * Decimal(hours)
    asked = f"{hours:.1f} hours at {money(price)} an hour may come to {money(worst)}"
    if job_spent + worst > settings.SPEND_CAP_JOB:
        had = f" after {money(job_spent)} already spent" if job_spent else ""
        most = max(Decimal(0), (settings.SPEND_CAP_JOB - job_spent) / price) if price else Decimal(0)
        mend = f"Allow at most {most:.1f} hours, or raise SPEND_CAP_JOB."
        return Refusal(
            sentence=f"{asked}{had}: over a job's cap of {money(settings.SPEND_CAP_JOB)}. {mend}", for_good=True
        )
    so_far = spent(now)
    for name, done, cap in (
        ("day", so_far.day, settings.SPEND_CAP_DAY),
        ("month", so_far.month, settings.SPEND_CAP_MONTH),
    ):
        if done + so_far.open_worst + worst > cap:
            others = f", and machines in use may add {money(so_far.open_worst)}" if so_far.open_worst else ""
            told = f"{asked}; {money(done)} of the {name}'s cap of {money(cap)} are spent{others}."
            return Refusal(
                sentence=f"{told} It waits for the next {name}, or raise SPEND_CAP_{name.upper()}.",
                for_good=worst > cap,
            )
    return None


def is_spent(job_spent: Decimal, price: Decimal, now: datetime, margin: timedelta) -> str:
    """Why a job must end now: with `margin` more of its machine a cap would be passed; "" while all is well."""
    ahead = price * Decimal(margin.total_seconds()) / 3600
    so_far = spent(now)
    for name, done, cap in (
        ("job", job_spent, settings.SPEND_CAP_JOB),
        ("day", so_far.day, settings.SPEND_CAP_DAY),
        ("month", so_far.month, settings.SPEND_CAP_MONTH),
    ):
        if done + ahead > cap:
            return f"The cap of {money(cap)} a {name} ends it: {money(done)} are spent."
    return ""


def money(amount: Decimal) -> str:
    """An amount for people: "1.25 USD"."""
    return f"{amount.quantize(CENT)} USD"


def _since(lease: Lease, start: datetime, now: datetime) -> Decimal:
    """The part of a lease's cost that falls after `start`."""
    if lease.requested_at is None or not (total := lease.cost(now)):
        return Decimal(0)
    end = lease.released_at or now
    whole = (end - lease.requested_at).total_seconds()
    part = (end - max(start, lease.requested_at)).total_seconds()
    return total * Decimal(min(1.0, max(0.0, part / whole))) if whole > 0 else Decimal(0)
