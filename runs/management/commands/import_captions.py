from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.caption_folder import FolderError
from runs.caption_import import CaptionImportError, import_captions


class Command(BaseCommand):
    help = "Brings pairs of PNG and TXT files in as a caption version. The same pairs again change nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="the TXT files, and the PNG files unless --images says otherwise")
        parser.add_argument("--images", type=Path, help="the PNG files, where several versions share them")
        parser.add_argument("--name", required=True, help="the caption version's name")
        parser.add_argument(
            "--replace", action="store_true", help="let changed pairs take the place of the present ones"
        )

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            done = import_captions(options["folder"], options["images"], options["name"], replace=options["replace"])
        except (FolderError, CaptionImportError) as error:
            raise CommandError(str(error)) from error
        if done.nothing_new:
            return f"{options['name']}: {done.captions} captions, all there already"
        parts = [f"{len(done.added)} added", f"{len(done.changed)} changed", f"{len(done.removed)} removed"]
        return f"{options['name']}: {done.captions} captions ({', '.join(parts)}), {done.new_images} new pictures"
