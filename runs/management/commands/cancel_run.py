from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from punklab.roles import TRAIN, RoleError, person
from runs.models import TrainingJob
from runs.naming import UnknownRunError, find_run
from runs.training import ActError, cancel


class Command(BaseCommand):
    help = "Ends a run's training; its epochs so far stay, and it can go on later."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="name or number of the run")
        parser.add_argument("--by", help="log-in name of the person who asks")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            by = person(options["by"], TRAIN) if options["by"] else None
            run = find_run(options["run"])
            job = cancel(run, by)
        except (ActError, RoleError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        if job.status == TrainingJob.Status.CANCELLED:
            return f"{run} is cancelled."
        return f"{run} was asked to end; it saves its state first."
