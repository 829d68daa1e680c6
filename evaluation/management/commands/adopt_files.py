from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import contradictions, remeasuring
from evaluation.models import EpochResult
from punklab.roles import TRAIN, RoleError, person
from runs.adoption import Decision, Match, Plan, Records, adopt, plan_adoption
from runs.adoption_files import FolderError
from runs.adoption_matching import Recorded
from runs.naming import UnknownRunError, find_run


class Command(BaseCommand):
    help = "Matches past checkpoints and pictures to runs and epochs, shows the plan, registers what is certain."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="the folder that holds them, with its subfolders")
        parser.add_argument("--run", help="say that every LoRA in the folder is of this run")
        parser.add_argument("--apply", action="store_true", help="register without asking")
        parser.add_argument("--by", help="log-in name of the person who asks")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            if options["by"]:
                person(options["by"], TRAIN)
            only = find_run(options["run"]) if options["run"] else None
            plan = plan_adoption(options["folder"], records(), only)
        except (FolderError, RoleError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        self._show(plan)
        if not plan.to_adopt:
            return self._with_contradictions("There is nothing to adopt.")
        if not options["apply"] and not self._confirmed(len(plan.to_adopt)):
            return "Nothing was changed. To register, answer yes or add --apply."
        problems = adopt(plan)
        for problem in problems:
            self.stderr.write(problem)
        measured = remeasuring.remeasure()
        return self._with_contradictions(
            f"{len(plan.to_adopt) - len(problems)} files adopted, {len(problems)} could not be. "
            f"{measured.measured} pictures measured."
        )

    def _with_contradictions(self, said: str) -> str:
        found = contradictions.find()
        if not found:
            return f"{said} No row contradicts the pictures and results it belongs to."
        return "\n".join([said, f"{len(found)} rows contradict the pictures or results they belong to:", *found])

    def _show(self, plan: Plan) -> None:
        rows = [_row(plan.folder, match) for match in plan.matches]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for row in rows:
            self.stdout.write(
                "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])
            )
        counts = Counter(match.decision for match in plan.matches)
        said = ", ".join(f"{counts[decision]} {decision}" for decision in Decision)
        self.stdout.write(f"{said}; {plan.unrelated} pictures have nothing to do with the lab's runs.")

    def _confirmed(self, count: int) -> bool:
        if not sys.stdin.isatty():
            return False
        return input(f"Adopt {count} files? [yes/no] ").strip().lower() in ("y", "yes")


def records() -> Records:
    """The files and folders that the lab's rows name for their epochs."""
    checkpoints: list[Recorded] = []
    pictures: list[Recorded] = []
    folders: list[Recorded] = []
    for row in EpochResult.objects.exclude(training_run=None):
        places = (
            (checkpoints, [row.checkpoint_path]),
            (pictures, row.test_image_paths or []),
            (folders, [row.test_output_dir]),
        )
        assert row.training_run_id is not None
        run_id = row.training_run_id
        for kept, paths in places:
            kept += [Recorded(path=path, run_id=run_id, epoch=row.epoch_number) for path in paths if path]
    return Records(checkpoints=checkpoints, pictures=pictures, folders=folders)


def _row(folder: Path, match: Match) -> tuple[str, str, str, str]:
    path = match.path.relative_to(folder) if match.path.is_relative_to(folder) else match.path
    whose = f"{match.run} epoch {match.epoch}" if match.run and match.epoch else "-"
    return str(match.decision), str(path), whose, match.reason
