from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import remeasuring
from runs.naming import UnknownRunError, find_run


class Command(BaseCommand):
    help = (
        "Measures drawn and adopted pictures again, without drawing them: those measured by an older punklab, or all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", nargs="?", help="only this run's pictures; default: every run's")
        parser.add_argument("--all", action="store_true", help="those too that this punklab measured already")
        parser.add_argument("--processes", type=int, help="default: one a core")

    def handle(self, **options: Any) -> str:
        """Return what was done. Raises CommandError for an unknown run."""
        try:
            run = find_run(options["run"]) if options["run"] else None
        except UnknownRunError as error:
            raise CommandError(str(error)) from error
        done = remeasuring.remeasure(run, everything=options["all"], processes=options["processes"])
        for problem in done.problems:
            self.stderr.write(problem)
        return f"{done.measured} pictures measured, {len(done.problems)} could not be; {done.epochs} epochs brought up to date."
