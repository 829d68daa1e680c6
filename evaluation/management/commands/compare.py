from __future__ import annotations

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import full_comparison, matrix, matrix_export, metrics, results, scoring, suite
from evaluation.models import EpochResult, TestRender
from runs.models import Checkpoint
from runs.naming import UnknownRunError, find_run

COLUMNS = (("background", "background_accuracy"), ("hair", "hair_accuracy"), ("pixel art", "pixel_art_purity"))

_WRITERS: dict[str, Callable[[matrix.Matrix, str], Iterable[bytes]]] = {
    "sheet": lambda found, _: [matrix_export.sheet_png(found)],
    "page": lambda found, title: [matrix_export.page(found, title).encode()],
    "originals": lambda found, _: matrix_export.archive(found),
}


class Command(BaseCommand):
    help = "A run's epochs beside the base without a LoRA: pictures drawn, measures in percent, scores; or a sheet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("epochs", nargs="*", type=int, help="all when none is given")
        parser.add_argument(
            "--beside", nargs=2, action="append", default=[], metavar=("RUN", "EPOCH"), help="another run's epoch"
        )
        parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write the pictures, an epoch a line")
        parser.add_argument("--page", type=Path, metavar="FILE.html", help="the same as a file that needs nothing else")
        parser.add_argument("--originals", type=Path, metavar="FILE.zip", help="the pictures as they were drawn")
        parser.add_argument("--full", action="store_true", help="queue what is missing, beside the base and --beside")

    def handle(self, **options: Any) -> str:
        """Return the table. Raises CommandError for an unknown run or epoch, or a sheet that cannot be written."""
        try:
            for epoch in options["epochs"]:
                scoring.find_epoch(options["run"], epoch)
            others = [_checkpoint(run, epoch) for run, epoch in options["beside"]]
            run = find_run(options["run"])
            if options["full"]:
                left = full_comparison.progress(full_comparison.start(run, None, others)).left
                self.stdout.write(f"to draw: {left or 'nothing'}")
        except (scoring.ScoringError, UnknownRunError, suite.SuiteError) as error:
            raise CommandError(str(error)) from error
        found = matrix.matrix(matrix.Question(runs=[run], epochs=options["epochs"] or None, beside=others))
        if not found.columns:
            raise CommandError(f"No test pictures of {options['run']} have been asked for yet: see test_epoch.")
        for kind, file in ((kind, options[kind]) for kind in _WRITERS if options[kind]):
            try:
                with file.open("wb") as opened:
                    opened.writelines(_WRITERS[kind](found, str(run)))
            except OSError as error:
                raise CommandError(f"{file} cannot be written: {error}") from error
        return "\n".join(_line(row, measured) for row, measured in zip(found.rows, _measured(found.rows), strict=True))


def _checkpoint(run: str, epoch: str) -> Checkpoint:
    if not epoch.isdecimal():
        raise CommandError(f"{epoch!r} is no epoch: --beside takes a run and a number.")
    checkpoint = results.checkpoint_of(scoring.find_epoch(run, int(epoch)))
    if checkpoint is None:
        raise CommandError(f"Epoch {epoch} of {run} has no checkpoint here: register its file with `adopt_files`.")
    return checkpoint


def _measured(rows: Sequence[matrix.Row]) -> list[metrics.Metrics]:
    """What was measured over all pictures of each row, in percent; empty before that. Two queries."""
    kept = EpochResult.objects.in_bulk([row.epoch_result.pk for row in rows if row.epoch_result])
    shown = {cell.pk for row in rows if not row.epoch_result for cell in row.cells if cell}
    pictures: dict[int, list[metrics.Measured]] = defaultdict(list)
    for checkpoint, found in TestRender.objects.filter(pk__in=shown).values_list("checkpoint", "measures"):
        if found and metrics.is_current(found):
            pictures[checkpoint].append(found)
    return [
        results.metrics_ours(kept[row.epoch_result.pk]) or {}
        if row.epoch_result
        else metrics.metrics_of(pictures[row.checkpoint.pk], "")
        if pictures[row.checkpoint.pk]
        else {}
        for row in rows
    ]


def _line(row: matrix.Row, measured: metrics.Metrics) -> str:
    drawn = sum(1 for cell in row.cells if cell and cell.finished)
    parts = [f"{row.label}: {drawn} of {len(row.cells)} pictures"]
    parts += [f"{name} {measured[key]:.0f} %" for name, key in COLUMNS if measured.get(key) is not None]
    if row.epoch_result and row.epoch_result.average is not None:
        parts.append(f"scored {row.epoch_result.average:.1f} ({row.epoch_result.verdict})")
    return ", ".join(parts)
