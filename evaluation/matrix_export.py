"""A matrix to take along: one PNG sheet, one HTML file that needs nothing else, a zip of the original pictures."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import slugify
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from evaluation.matrix import Cell, Column, Matrix, Row
from evaluation.matrix_models import WeightRender
from evaluation.models import TestRender
from runs.parameters import differences

CELL, GAP = 96, 8  # pixels of a sheet: the 24x24 enlarged fourfold
_TITLES, _HEADINGS = 240, 40  # its left and upper margins
_WHITE, _GREY, _INK, _QUIET = (255, 255, 255), (221, 221, 221), (0, 0, 0), (110, 110, 110)
_MANIFEST = (
    "name", "run", "epoch", "lora_weight", "prompt_name", "prompt", "seed", "device", "digest",
    "raw_sha256", "finished_sha256", "checkpoint_sha256", "request", "note",
)  # fmt: skip


def sheet(found: Matrix) -> Image.Image:
    """The 24x24 pictures enlarged fourfold, a checkpoint a line, a prompt a column; grey where none is drawn."""
    step = CELL + GAP
    size = (_TITLES + len(found.columns) * step + GAP, _HEADINGS + len(found.rows) * step + GAP)
    image = Image.new("RGB", size, _WHITE)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for place, column in enumerate(found.columns):
        left = _TITLES + GAP + place * step
        draw.text((left, GAP), _fitting(draw, column.prompt.prompt_name, font, CELL), _INK, font)
        draw.text((left, GAP + 15), "" if column.seed is None else f"seed {column.seed}", _QUIET, font)
    for line, row in enumerate(found.rows):
        top = _HEADINGS + GAP + line * step
        draw.text((GAP, top), _fitting(draw, row.title, font, _TITLES - GAP), _INK, font)
        draw.text((GAP, top + 15), _judged(row), _QUIET, font)
        for place, cell in enumerate(row.cells):
            image.paste(_enlarged(cell), (_TITLES + GAP + place * step, top))
    return image


def sheet_png(found: Matrix) -> bytes:
    file = io.BytesIO()
    sheet(found).save(file, "PNG", compress_level=3)
    return file.getvalue()


def page(found: Matrix, title: str) -> str:
    """One HTML file with its pictures inside: it opens anywhere, without this site and without a network."""
    rows = [
        {"row": row, "judged": _judged(row), "cells": [(cell, _data_uri(cell)) for cell in row.cells]}
        for row in found.rows
    ]
    runs = [group.run for group in found.groups if group.run]
    facts = {"title": title, "columns": found.columns, "rows": rows, "runs": runs, "made_at": timezone.now()}
    return render_to_string("evaluation/matrix_sheet.html", facts | {"differences": differences(*runs)})


def archive(found: Matrix) -> Iterator[bytes]:
    """A zip, piece by piece: each picture as rendered and as 24x24, untouched, and `manifest.csv`.

    Holds one picture in memory at a time; a file that is gone is named in the manifest."""
    pieces = _Pieces()
    facts = _facts(found)
    lines: list[dict[str, Any]] = []
    names: set[str] = set()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as packed:  # PNGs do not get smaller
        for row in found.rows:
            for column, cell in zip(found.columns, row.cells, strict=True):
                if cell is None or not cell.finished:
                    continue
                name = _name(row, column, cell, names)
                line = _line(name, row, column, facts[cell.kind, cell.pk])
                for size, path in (("raw", cell.raw), ("finished", cell.finished)):
                    data = _read(path)
                    if data is None:
                        line["note"] = f"{line['note']} the {size} picture is not on this machine".strip()
                        continue
                    line[f"{size}_sha256"] = sha256(data).hexdigest()
                    packed.writestr(f"{size}/{name}", data)
                    yield from pieces.taken()
                lines.append(line)
        packed.writestr("manifest.csv", _csv(lines))
    yield from pieces.taken()


class _Pieces(io.RawIOBase):
    """A file that is written once, front to back, and read while it is written."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def taken(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        if waiting:
            yield b"".join(waiting)


def _read(path: str) -> bytes | None:
    try:
        return (Path(settings.STORAGE_DIR) / path).read_bytes() if path else None
    except OSError:
        return None


def _enlarged(cell: Cell | None) -> Image.Image:
    data = _read(cell.finished) if cell else None
    try:
        if data is not None:
            with Image.open(io.BytesIO(data)) as picture:
                return picture.convert("RGB").resize((CELL, CELL), Image.Resampling.NEAREST)
    except UnidentifiedImageError:
        pass
    return Image.new("RGB", (CELL, CELL), _GREY)


def _data_uri(cell: Cell | None) -> str:
    data = _read(cell.finished) if cell else None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data else ""


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."


def _judged(row: Row) -> str:
    result = row.epoch_result
    if result is None or result.average is None:
        return ""
    return f"average {result.average:.1f}{f', {result.verdict}' if result.verdict else ''}"


def _name(row: Row, column: Column, cell: Cell, taken: set[str]) -> str:
    """run-epoch-prompt-seed[-weight].png; with the row's number where two would be called the same."""
    run = row.checkpoint.run
    parts = [slugify(str(run)) if run else slugify(row.checkpoint.base_model), str(row.checkpoint.epoch or "base")]
    parts += [slugify(column.prompt.prompt_name), "" if column.seed is None else str(column.seed)]
    if row.weight != 1:
        parts.append(f"{row.weight:g}")
    name = "-".join(filter(None, parts))
    if name in taken:
        name = f"{name}-{cell.pk}"
    taken.add(name)
    return f"{name}.png"


def _facts(found: Matrix) -> dict[tuple[str, int], Mapping[str, Any]]:
    """What is not on the page: requests, digests, devices. Two queries."""
    cells = [cell for row in found.rows for cell in row.cells if cell]
    facts: dict[tuple[str, int], Mapping[str, Any]] = {}
    for kind, model in (("render", TestRender), ("weight", WeightRender)):
        pks = [cell.pk for cell in cells if cell.kind == kind]
        for row in model._default_manager.filter(pk__in=pks).values("pk", "request", "digest", "device"):
            facts[kind, row["pk"]] = row
    return facts


def _line(name: str, row: Row, column: Column, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "run": str(row.checkpoint.run or ""),
        "epoch": row.checkpoint.epoch or "",
        "lora_weight": f"{row.weight:g}" if row.checkpoint.sha256 else "0",
        "prompt_name": column.prompt.prompt_name,
        "prompt": facts["request"].get("prompt", ""),
        "seed": "" if column.seed is None else column.seed,
        "device": facts["device"],
        "digest": facts["digest"],
        "raw_sha256": "",
        "finished_sha256": "",
        "checkpoint_sha256": row.checkpoint.sha256,
        "request": json.dumps(facts["request"], sort_keys=True),
        "note": "",
    }


def _csv(lines: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, _MANIFEST)
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in line.items()} for line in lines)
    return file.getvalue()


def _harmless(value: Any) -> Any:
    """A spreadsheet takes a text that begins so for a formula: a quote before it makes it a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
