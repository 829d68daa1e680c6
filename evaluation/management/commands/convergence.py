from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import convergence
from runs.naming import UnknownRunError, find_run


class Command(BaseCommand):
    help = "Whether a run is improving, on a plateau or degrading, by people's scores, and whether to go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("--format", choices=("text", "json"), default="text")

    def handle(self, **options: Any) -> str:
        """Return state, action, best epoch and reason. Raises CommandError for an unknown run."""
        try:
            found = convergence.for_run(find_run(options["run"]))
        except UnknownRunError as error:
            raise CommandError(str(error)) from error
        if options["format"] == "json":
            return json.dumps(found.to_json())
        return f"{found.state}: {found.action}. {found.reason}"
