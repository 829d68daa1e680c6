"""Machines that cost money until they are given back; `runs.models` hands these out. `docs/lifecycle.md` has the states."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone


class LeaseQuerySet(models.QuerySet["Lease"]):
    def open(self) -> LeaseQuerySet:
        """Leases that are not released: they cost money, or may."""
        return self.exclude(state=Lease.State.RELEASED)

    def move(self, lease: Lease, to: Lease.State, *, come_from: tuple[Lease.State, ...], **facts: object) -> bool:
        """Write a new state where the row still has one of the expected ones; False when somebody was faster.

        The row in hand takes the new values when it was moved."""
        moved = self.filter(pk=lease.pk, state__in=come_from).update(state=to, **facts)
        if moved:
            lease.state = to
            for name, value in facts.items():
                setattr(lease, name, value)
        return bool(moved)


class Lease(models.Model):
    """One rented machine for one attempt of a job. Only `released` stops its meter."""

    class State(models.TextChoices):
        INTENDED = "intended", "intended"  # nothing was asked for yet
        REQUESTED = "requested", "requested"  # the request goes out, or its answer was lost
        ACTIVE = "active", "active"
        RELEASING = "releasing", "being released"
        RELEASED = "released", "released"

    job = models.ForeignKey("runs.TrainingJob", on_delete=models.PROTECT, related_name="leases")
    name = models.CharField(max_length=100, unique=True, help_text="the machine's name at the provider, ours alone")
    attempt = models.PositiveIntegerField(help_text="number of this lease within the job's folder, from 1")
    state = models.CharField(max_length=20, choices=State.choices, default=State.INTENDED)
    machine = models.CharField(max_length=100, blank=True, help_text="the provider's id; empty until it is known")
    gpu = models.CharField(max_length=100)
    data_center = models.CharField(max_length=50)
    volume = models.CharField(max_length=100)
    price = models.DecimalField(
        max_digits=12, decimal_places=4, help_text="US dollars an hour", validators=[MinValueValidator(Decimal(0))]
    )
    tries = models.PositiveIntegerField(default=0, help_text="rounds of offers that found no capacity")
    refused = models.JSONField(default=list, help_text="offers of this round that had no capacity")
    next_try_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    requested_at = models.DateTimeField(null=True, blank=True, help_text="from here on it may cost money")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="the machine ends itself then")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="last in the provider's list")
    missing_since = models.DateTimeField(null=True, blank=True)
    began_at = models.DateTimeField(null=True, blank=True, help_text="first sign of life of its program")
    seq = models.PositiveIntegerField(default=0, help_text="of the program's last status")
    alive_at = models.DateTimeField(null=True, blank=True, help_text="when `seq` last changed, on our clock")
    phase = models.CharField(max_length=20, blank=True)
    free_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    seconds = models.JSONField(default=dict, help_text="the program's seconds in each phase")
    events_read = models.PositiveBigIntegerField(default=0, help_text="bytes of events.jsonl that are taken in")
    stop_asked_at = models.DateTimeField(null=True, blank=True, help_text="when its program was told to end")
    release_asked_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    emptied_at = models.DateTimeField(null=True, blank=True, help_text="when its folder on the volume was deleted")
    reason = models.TextField(blank=True, help_text="why it was given back, a sentence")
    billed = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="US dollars, as the provider's bill says"
    )

    objects = LeaseQuerySet.as_manager()

    class Meta:
        db_table = "punklab_lease"
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("job",),
                condition=~models.Q(state="released"),
                name="punklab_one_open_lease_per_job",
                violation_error_message="This job has a machine that is not given back yet.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=("intended", "released")) | models.Q(requested_at__isnull=False),
                name="punklab_lease_has_its_time",
                violation_error_message="A lease that may cost money needs the time from which it may.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def hours(self, now: datetime | None = None) -> Decimal:
        """Hours paid for so far, by our own clock; 0 for a machine that never was."""
        if self.requested_at is None or (self.state == self.State.RELEASED and not self.machine):
            return Decimal(0)
        spent = (self.released_at or now or timezone.now()) - self.requested_at
        return Decimal(max(0.0, spent.total_seconds())) / 3600

    def cost(self, now: datetime | None = None) -> Decimal:
        """US dollars: the provider's bill where it has come, else hours times price."""
        return self.billed if self.billed is not None else self.hours(now) * self.price

    def worst_cost(self, now: datetime | None = None) -> Decimal:
        """US dollars when the machine is used until its deadline; its cost when it is given back."""
        if self.state == self.State.RELEASED or self.deadline_at is None or self.requested_at is None:
            return self.cost(now)
        return max(self.cost(now), Decimal((self.deadline_at - self.requested_at).total_seconds()) / 3600 * self.price)


class Controller(models.Model):
    """The one row that says which process controls rented machines, and what it saw of the account."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    site = models.CharField(max_length=8, help_text="in the name of every machine of this lab")
    holder = models.CharField(max_length=100, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    ticked_at = models.DateTimeField(null=True, blank=True)
    trouble = models.TextField(blank=True, help_text="what kept the last tick from its work, a sentence")
    foreign = models.JSONField(default=list, help_text="machines of the account that are not this lab's")

    HELD: ClassVar = timedelta(seconds=90)  # longer than the longest call to a provider

    class Meta:
        db_table = "punklab_controller"
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="punklab_one_controller")]

    def __str__(self) -> str:
        return f"lab {self.site}"
