from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.captions import CaptionVersionError, export_captions, find_version


class Command(BaseCommand):
    help = "Writes a caption version's pairs into a new folder: texts as imported, pictures as imported or enlarged."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the caption version's name")
        parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
        parser.add_argument("--factor", type=int, help="write the 24x24 cells enlarged this many times (1: 24x24)")

    def handle(self, *args: Any, **options: Any) -> str:
        factor = options["factor"]
        if factor is not None and not 1 <= factor <= 64:
            raise CommandError(f"--factor {factor}: use 1 to 64")
        try:
            count = export_captions(find_version(options["name"]), options["folder"], factor)
        except (CaptionVersionError, OSError) as error:
            raise CommandError(str(error)) from error
        return f"{options['name']}: {count} pairs written to {options['folder']}"
