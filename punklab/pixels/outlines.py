"""The borders of a portrait's parts, as SVG paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from punklab.pixels.measures import LETTERS

# Parts whose outline helps the eye; the rest is what lies between.
_OUTLINED = ("background", "hair", "skin", "eyes", "lips", "clothes", "facial_hair", "eyewear", "headwear", "jewellery")
_SIDE = 24


@dataclass(frozen=True)
class Outline:
    """A part's border as an SVG path on a square of 24 units."""

    part: str
    path: str


def outlines(rows: Sequence[str]) -> list[Outline]:
    """The outline of each part that is there, from the rows of `Measures.labels`; empty for any other shape."""
    if len(rows) != _SIDE:
        return []
    there = [part for part in _OUTLINED if any(LETTERS[part] in row for row in rows)]
    return [Outline(part.replace("_", " "), "".join(_border(rows, LETTERS[part]))) for part in there]


def _border(rows: Sequence[str], letter: str) -> Iterator[str]:
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
