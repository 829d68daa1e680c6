from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from punklab.diffusion.training_options import ACCEPTED
from runs.config import ConfigError, Finding, lint, read_config


class Command(BaseCommand):
    help = "Names what kohya, or our own trainer, would ignore, refuse or misread in a training config."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="kohya's training_config.toml")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            config = read_config(options["file"])
        except ConfigError as error:
            if options["format"] == "json":
                finding = Finding(code="syntax", key="", detail=str(error), mend="mend the line and lint again")
                self.stdout.write(_as_json(options["file"], [finding]))
            raise CommandError(str(error)) from error
        findings = lint(config, ACCEPTED)
        errors = [finding for finding in findings if finding.level == "error"]
        if options["format"] == "json":
            self.stdout.write(_as_json(options["file"], findings))
        else:
            for finding in findings:
                self.stdout.write(_as_line(options["file"], finding))
        if errors:
            raise CommandError(f"{options['file']}: {len(errors)} to mend, {len(findings) - len(errors)} to look at")
        if options["format"] == "text":
            self.stdout.write(f"{options['file']}: nothing to mend, {len(findings)} to look at")


def _as_line(file: Path, finding: Finding) -> str:
    place = f"{file}:{finding.line}" if finding.line else str(file)
    return f"{place}: {finding.level}: {finding.detail} -> {finding.mend} [{finding.code}]"


def _as_json(file: Path, findings: list[Finding]) -> str:
    return json.dumps({"file": str(file), "findings": [asdict(finding) for finding in findings]}, indent=2)
