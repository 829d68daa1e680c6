"""What a training on a rented machine would take: machines, hours, money, and what stands against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from runs.backends import rented_backend
from runs.backends.base import Offer
from runs.estimates import Estimate, estimates
from runs.models import TrainingJob, TrainingRun
from runs.spending import money, refusal, spent_on

SHOWN = 5  # offers


@dataclass(frozen=True, kw_only=True)
class Quote:
    """`offers`, the preferred first; sentences on what they would take. `refusal`: why none may be rented; "": one may."""

    offers: Sequence[Offer]
    lines: Sequence[str]
    refusal: str


def quote_for(run: TrainingRun, max_hours: float | None = None) -> Quote:
    """A quote from the provider's catalog as it is now. Raises BackendError when the provider cannot be asked."""
    backend = rented_backend()
    hours = settings.RUNPOD_MAX_HOURS if max_hours is None else max_hours
    job = run.jobs.filter(backend=backend.name).first() or TrainingJob(run=run, folder="training/0/0")
    offers = backend.offers(job)
    if not offers:
        return Quote(offers=[], lines=[], refusal=backend.why_none())
    shown = offers[:SHOWN]
    expected = estimates(run, {offer.gpu for offer in shown})
    first = expected[offers[0].gpu]
    lines = [
        f"Expected: {first.hours:.1f} hours ({first.basis}), ended after {hours:g} hours at the latest. "
        f"{first.need_bytes / 10**9:.0f} GB must be free on the volume.",
        *(_line(offer, expected[offer.gpu], hours) for offer in shown),
    ]
    used = spent_on(job.leases.all()) if job.pk else Decimal(0)
    refused = refusal(used, offers[0].price, hours, timezone.now())
    return Quote(offers=offers, lines=lines, refusal=refused.sentence if refused else "")


def _line(offer: Offer, expected: Estimate, hours: float) -> str:
    return (
        f"{offer.gpu} in {offer.data_center} at {money(offer.price)} an hour, stock {offer.stock.lower()}: about "
        f"{expected.hours:.1f} hours and {money(offer.price * Decimal(expected.hours))}, "
        f"at most {money(offer.price * Decimal(hours))}."
    )
