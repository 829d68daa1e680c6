from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs.backends.process import JobProcess
from runs.models import TrainingJob


class Command(BaseCommand):
    help = "Carries one job out in this process. The queue starts it; people use `train`."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job", type=int)

    def handle(self, *args: Any, **options: Any) -> str:
        job = TrainingJob.objects.select_related("run").filter(pk=options["job"]).first()
        if job is None:
            raise CommandError(f"There is no job {options['job']}.")
        process = JobProcess(job)
        with process.stopping_on_signals():
            return process.carry_out()
