from __future__ import annotations

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from runs.models import Controller, Lease
from runs.spending import money, spent

LATEST = 10


class Command(BaseCommand):
    help = (
        "Lists rented machines with what they cost: the open ones, the last released ones, and those that are not ours."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help=f"every released one too, not the last {LATEST}")

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        leases = Lease.objects.select_related("job__run")
        released = leases.filter(state=Lease.State.RELEASED)
        for lease in [*leases.open(), *(released if options["all"] else released[:LATEST])]:
            where = f"{lease.gpu} in {lease.data_center}" if lease.gpu else "no machine yet"
            self.stdout.write(
                f"{lease.name}  {lease.get_state_display()}  {lease.job.run}  {where}  "
                f"{lease.hours(now):.2f} h at {money(lease.price)}: {money(lease.cost(now))}  {lease.reason}".rstrip()
            )
        if not leases.exists():
            self.stdout.write("No machine was ever rented.")
        for each in self._foreign():
            price = money(Decimal(each["price"]))
            self.stdout.write(
                f"not ours, and left alone: {each['name']} ({each['id']})  {each['phase']}  {price} an hour"
            )
        so_far = spent(now)
        self.stdout.write(f"spent: {money(so_far.day)} today, {money(so_far.month)} this month (UTC).")

    def _foreign(self) -> list[dict[str, str]]:
        row = Controller.objects.first()
        return list(row.foreign) if row else []
