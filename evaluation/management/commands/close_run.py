from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.closing import close
from punklab.roles import TRAIN, RoleError, person
from runs.naming import UnknownRunError, find_run
from runs.training import VERDICTS, ActError


class Command(BaseCommand):
    help = "Writes a person's verdict on a run: most runs fail, and that is a result."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="name or number of the run")
        parser.add_argument("verdict", choices=VERDICTS)
        parser.add_argument("--findings", required=True, help="what was learnt")
        parser.add_argument("--quality-score", type=int, help="0 to 10")
        parser.add_argument("--best-epoch", type=int)
        parser.add_argument("--by", help="log-in name of the person who asks")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            by = person(options["by"], TRAIN) if options["by"] else None
            run = close(
                find_run(options["run"]),
                options["verdict"],
                findings=options["findings"],
                quality_score=options["quality_score"],
                best_epoch=options["best_epoch"],
                by=by,
            )
        except (ActError, RoleError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        return f"{run} is closed as {run.overall_verdict}."
