from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from punklab.files import write_whole
from runs.config import ConfigError
from runs.naming import UnknownRunError, find_run
from runs.package import PackageError, pack, version_of
from runs.training import ActError, caption_problems, new_job


class Command(BaseCommand):
    help = "Writes a run's training package as a zip: pictures, captions, kohya's config, manifest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="name or number of the run")
        parser.add_argument("out", type=Path, help="the zip to write")

    def handle(self, *args: Any, **options: Any) -> str:
        out: Path = options["out"]
        try:
            run = find_run(options["run"])
            if problems := caption_problems(version_of(run)):
                raise ActError(f"{run} was not packed: " + "; ".join(problems) + ".")
            with transaction.atomic():  # the job that it would be, with the same checks; none is left behind
                content = pack(new_job(run, backend="runpod"))
                transaction.set_rollback(True)
            write_whole(out, content)
        except (ActError, ConfigError, PackageError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{out}: {error.strerror or error}") from error
        return f"{out}: {len(content)} bytes."
