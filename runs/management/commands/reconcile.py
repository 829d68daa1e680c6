from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs.backends import rented_backend
from runs.controller import ControlLoop, is_controlled
from runs.models import Controller


class Command(BaseCommand):
    help = "Looks once at every job, lease and machine, as the controller does, and takes the next step of each."

    def handle(self, **options: Any) -> str:
        if is_controlled():
            return "A controller is at work and looks by itself; nothing was done."
        loop = ControlLoop(rented_backend())
        loop.reap_at = 0.0
        try:
            said = loop.tick()
        finally:
            loop.let_go()
        if trouble := Controller.objects.get(pk=1).trouble:
            raise CommandError(trouble)
        return said or "All is as it should be."
