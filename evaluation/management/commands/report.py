from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.report import ReportError, file_name, report_of
from runs.naming import UnknownRunError, find_run


class Command(BaseCommand):
    help = "A run's or an epoch's report as one HTML file with curves and pictures inside."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("--epoch", type=int)
        parser.add_argument("--out", type=Path, metavar="FILE.html", help="by default named after the run, here")

    def handle(self, **options: Any) -> str:
        """Return where the file is. Raises CommandError for an unknown run or epoch, or a file that cannot be written."""
        try:
            run = find_run(options["run"])
            page = report_of(run, options["epoch"])
        except (UnknownRunError, ReportError) as error:
            raise CommandError(str(error)) from error
        file = options["out"] or Path(file_name(run, options["epoch"]))
        try:
            file.write_text(page, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        return f"{file}: {len(page.encode()) / 1000:.0f} kB"
