from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from punklab.pixels.many import Job, measure_files
from punklab.pixels.report import text_report
from runs.captions import CaptionVersionError, find_version
from runs.collections import collection_of, newest_collection

MOST_PROMPT_BYTES = 64 * 1024


class Command(BaseCommand):
    help = "Measures pictures: raster, colours, parts against a prompt, defects, copies, suggested scores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="FILE", help="a picture; animations by their first frame"
        )
        prompt = parser.add_mutually_exclusive_group()
        prompt.add_argument("--prompt", help="what the pictures were asked to show")
        prompt.add_argument("--prompt-file", type=Path, metavar="FILE", help="a text file that holds the prompt")
        parser.add_argument("--captions", metavar="VERSION", help="whose pictures to compare with; default: the newest")
        parser.add_argument(
            "--format", choices=("json", "text"), default="json", help="docs/judging.md has the JSON's shape"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one report of all files. Raises CommandError at the end where a file could not be measured."""
        prompt = options["prompt"] if options["prompt_file"] is None else _prompt_of(options["prompt_file"])
        try:
            version = options["captions"]
            collection = collection_of(find_version(version)) if version else newest_collection()
        except CaptionVersionError as error:
            raise CommandError(str(error)) from error
        measured = measure_files([Job(path, prompt) for path in options["files"]], collection)
        reports = [_report(path, found) for path, found in zip(options["files"], measured, strict=True)]
        if options["format"] == "json":
            self.stdout.write(json.dumps(reports, indent=1, ensure_ascii=False))
        else:
            self.stdout.write("\n\n".join(text_report(report) for report in reports))
        failed = [report["error"] for report in reports if "error" in report]
        if failed:
            raise CommandError(f"{len(failed)} of {len(reports)} files could not be measured: " + "; ".join(failed))


def _report(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """The measures under the file's name, without what only the console draws."""
    if "error" in found:
        return {"file": str(path), "error": f"{path} {found['error']}"}
    return {"file": str(path), **{key: value for key, value in found.items() if key != "parts"}}


def _prompt_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"--prompt-file {path} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_PROMPT_BYTES:
        raise CommandError(f"--prompt-file {path} has {len(data):,} bytes; a prompt has at most {MOST_PROMPT_BYTES:,}")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CommandError(f"--prompt-file {path} is not UTF-8; save it as UTF-8") from error
