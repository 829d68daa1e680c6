from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs.backends import BACKENDS, backend_of
from runs.models import TrainingJob

POLL = 0.2  # seconds


class Command(BaseCommand):
    help = "Lets every training on this machine save its state and end; `make lab` and the queue go on with it later."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--wait", type=float, default=15.0, help="seconds to wait for them (default 15)")

    def handle(self, *args: Any, **options: Any) -> str:
        unfinished = TrainingJob.objects.unfinished().filter(backend__in=BACKENDS).select_related("run")
        jobs = [job for job in unfinished if backend_of(job).stop(job)]
        deadline = time.monotonic() + options["wait"]
        left = jobs
        while left and time.monotonic() < deadline:
            time.sleep(POLL)
            left = [job for job in left if backend_of(job).is_alive(job)]
        if left:
            return f"Still ending: {', '.join(str(job) for job in left)}."
        return f"{len(jobs)} trainings were stopped and can go on later." if jobs else "No training runs here."
