"""One picture's measures as the console draws them: outlines of its parts and defects, swatches, findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evaluation import metrics
from punklab.pixels.asked import PARTS
from punklab.pixels.measures import LETTERS
from punklab.pixels.report import copy_finding, findings

# Parts whose outline helps the eye; the rest is what lies between.
_OUTLINED = ("background", "hair", "skin", "eyes", "lips", "clothes", "facial_hair", "eyewear", "headwear", "jewellery")
_SIDE = 24


@dataclass(frozen=True)
class Outline:
    """A part's border as an SVG path on a square of 24 units."""

    part: str
    path: str


@dataclass(frozen=True)
class Swatch:
    """A colour asked beside the one observed; hex codes and words may be missing."""

    name: str
    asked_hex: str
    asked_word: str
    observed_hex: str
    observed_word: str
    delta_e: float | None
    matches: bool | None
    confidence: float
    reason: str


@dataclass(frozen=True)
class Measured:
    """A stored dictionary of measures, of the present shape."""

    found: dict[str, Any]

    @cached_property
    def outlines(self) -> list[Outline]:
        """The outline of each part that is there."""
        rows = self.found.get("parts", "").splitlines()
        if len(rows) != _SIDE:
            return []
        there = [part for part in _OUTLINED if any(LETTERS[part] in row for row in rows)]
        return [Outline(part.replace("_", " "), "".join(_border(rows, LETTERS[part]))) for part in there]

    @property
    def defect_cells(self) -> list[tuple[int, int]]:
        """The cells of all defects as (x, y)."""
        return [(column, row) for defect in self.found["defects"] for row, column in defect["cells"]]

    @property
    def defects(self) -> list[str]:
        """The defects in words."""
        return [defect["text"] for defect in self.found["defects"]]

    @property
    def swatches(self) -> list[Swatch]:
        """A swatch for each part, and for each accessory asked for."""
        checks = [(part, self.found[part]) for part in PARTS]
        checks += [(item["phrase"], item) for item in self.found["accessories"]]
        return [_swatch(name, check) for name, check in checks]

    @property
    def findings(self) -> list[str]:
        """What was found, a sentence each."""
        art = self.found["pixel_art"]
        outside = [f"{name.replace('_', ' ')} {place}" for name, place in art["band"].items() if place != "inside"]
        told = [*findings(self.found), art["reason"], f"{art['colours']['merged']} colours that a person tells apart"]
        if outside:
            told.append(f"unlike the collection: {', '.join(outside)}")
        return [*told, copy_finding(self.found["copy"]), *self.found["notes"]]


def measured(measures: Any) -> Measured | None:
    """The measures of a picture to show; None where there are none of the present shape."""
    return Measured(measures) if metrics.is_current(measures) else None


def _border(rows: list[str], letter: str) -> Iterator[str]:
    """The edges between the letter's cells and others, as SVG path commands."""

    def inside(row: int, column: int) -> bool:
        return 0 <= row < _SIDE and 0 <= column < _SIDE and rows[row][column] == letter

    for row in range(_SIDE + 1):
        edges = [inside(row, column) != inside(row - 1, column) for column in range(_SIDE)]
        yield from (f"M{first} {row}h{length}" for first, length in _runs(edges))
    for column in range(_SIDE + 1):
        edges = [inside(row, column) != inside(row, column - 1) for row in range(_SIDE)]
        yield from (f"M{column} {first}v{length}" for first, length in _runs(edges))


def _runs(edges: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Where runs of True begin, and their lengths."""
    start = None
    for place, edge in enumerate([*edges, False]):
        if edge and start is None:
            start = place
        elif not edge and start is not None:
            yield start, place - start
            start = None


def _swatch(name: str, check: dict[str, Any]) -> Swatch:
    asked = check["asked"] or {}
    return Swatch(
        name=name,
        asked_hex=asked.get("hex") or "",
        asked_word=asked.get("word") or "",
        observed_hex=check["observed"]["hex"] or "",
        observed_word=check["observed"]["word"] or "",
        delta_e=check["delta_e"],
        matches=check["matches"],
        confidence=check["confidence"],
        reason=check["reason"],
    )
