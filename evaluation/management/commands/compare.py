from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from PIL import Image

from evaluation import comparison, results, scoring
from runs.models import Checkpoint
from runs.naming import UnknownRunError, find_run

CELL, GAP = 96, 8  # pixels of a sheet
COLUMNS = (("background", "background_accuracy"), ("hair", "hair_accuracy"), ("pixel art", "pixel_art_purity"))


class Command(BaseCommand):
    help = "A run's epochs beside the base without a LoRA: pictures drawn, measures in percent, scores; or a sheet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("epochs", nargs="*", type=int, help="all when none is given")
        parser.add_argument(
            "--beside", nargs=2, action="append", default=[], metavar=("RUN", "EPOCH"), help="another run's epoch"
        )
        parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write the pictures, an epoch a line")

    def handle(self, **options: Any) -> str:
        """Return the table. Raises CommandError for an unknown run or epoch, or a sheet that cannot be written."""
        try:
            for epoch in options["epochs"]:
                scoring.find_epoch(options["run"], epoch)
            others = [_checkpoint(run, epoch) for run, epoch in options["beside"]]
            found = comparison.compare(find_run(options["run"]), options["epochs"] or None, others)
        except (scoring.ScoringError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        if not found.prompts:
            raise CommandError(f"No test pictures of {options['run']} have been asked for yet: see test_epoch.")
        if options["sheet"]:
            try:
                sheet(found).save(options["sheet"], "PNG")
            except OSError as error:
                raise CommandError(f"{options['sheet']} cannot be written: {error}") from error
        return "\n".join(_line(row) for row in found.rows)


def sheet(found: comparison.Comparison) -> Image.Image:
    """The 24x24 pictures enlarged fourfold, a checkpoint a line, a prompt a column; grey where none is drawn."""
    step = CELL + GAP
    image = Image.new("RGB", (len(found.prompts) * step + GAP, len(found.rows) * step + GAP), "white")
    for line, row in enumerate(found.rows):
        for column, render in enumerate(row.renders):
            place = (GAP + column * step, GAP + line * step)
            if render is None or render.finished_path is None:
                image.paste((221, 221, 221), (*place, place[0] + CELL, place[1] + CELL))
                continue
            with Image.open(render.finished_path) as picture:
                image.paste(picture.convert("RGB").resize((CELL, CELL), Image.Resampling.NEAREST), place)
    return image


def _checkpoint(run: str, epoch: str) -> Checkpoint:
    if not epoch.isdecimal():
        raise CommandError(f"{epoch!r} is no epoch: --beside takes a run and a number.")
    checkpoint = results.checkpoint_of(scoring.find_epoch(run, int(epoch)))
    if checkpoint is None:
        raise CommandError(f"Epoch {epoch} of {run} has no checkpoint here: register its file with `adopt_files`.")
    return checkpoint


def _line(row: comparison.Row) -> str:
    drawn = sum(1 for render in row.renders if render and render.finished)
    parts = [f"{row.label}: {drawn} of {len(row.renders)} pictures"]
    parts += [f"{name} {row.metrics[key]:.0f} %" for name, key in COLUMNS if row.metrics.get(key) is not None]
    if row.epoch_result and row.epoch_result.average is not None:
        parts.append(f"scored {row.epoch_result.average:.1f} ({row.epoch_result.verdict})")
    return ", ".join(parts)
