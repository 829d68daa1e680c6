from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.caption_checks import check
from runs.caption_folder import FolderError, read_folder
from runs.caption_pairs import Pair, Problem
from runs.captions import CaptionVersionError, find_version, load_pairs, runs_using


class Command(BaseCommand):
    help = "Says what is wrong or odd in a caption version, or in a folder of pairs before it is imported."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="the caption version's name")
        parser.add_argument("--dir", type=Path, help="check this folder instead")
        parser.add_argument("--images", type=Path, help="where the folder's PNG files are, if not in it")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["name"] is None) == (options["dir"] is None):
            raise CommandError("name a caption version, or a folder with --dir")
        try:
            pairs, problems = self._read(options)
        except (FolderError, CaptionVersionError) as error:
            raise CommandError(str(error)) from error
        findings = check(pairs, problems, blocking=settings.BLOCKING_CAPTION_FINDINGS)
        blocking = sum(finding.blocking for finding in findings)
        if options["format"] == "json":
            self.stdout.write(json.dumps({"findings": [finding.to_json() for finding in findings]}, indent=2))
        else:
            for finding in findings:
                level = "BLOCKS" if finding.blocking else "warns"
                self.stdout.write(f"{finding.file}: {level} {finding.code}: {finding.detail}")
            used = runs_using(find_version(options["name"])) if options["name"] else []
            trained = f"; trained on by {', '.join(used)}" if used else ""
            self.stdout.write(f"{len(pairs)} pairs, {len(findings)} findings, {blocking} blocking{trained}")
        if blocking:
            raise CommandError(f"{blocking} findings block a training with these captions")

    def _read(self, options: dict[str, Any]) -> tuple[Sequence[Pair], Iterable[Problem]]:
        if options["name"]:
            return load_pairs(find_version(options["name"])), ()
        folder = read_folder(options["dir"], options["images"])
        return [one.pair for one in folder.pairs], folder.problems
