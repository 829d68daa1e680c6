"""A chart's geometry for inline SVG, where no script may run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evaluation.trend import Chart, Series

WIDTH, HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 10, 28
_MOST_TICKS = 20


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve in SVG's units; `colour` is 1 to 8, `bands` are polygons between neighbouring epochs."""

    label: str
    colour: int
    line: str
    points: Sequence[tuple[str, str]]
    bands: Sequence[str]
    is_dashed: bool
    is_thick: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    chart: Chart
    curves: Sequence[Curve]
    across: Sequence[tuple[str, str]]  # height and label of each horizontal line
    down: Sequence[tuple[str, str]]  # place and epoch of each tick
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def drawing(chart: Chart) -> Drawing:
    """Where everything of a chart with at least one epoch lies."""
    first, last = min(chart.epochs), max(chart.epochs)

    def x(epoch: int) -> str:
        inner = WIDTH - _LEFT - _RIGHT - 20
        return f"{_LEFT + 10 + (inner * (epoch - first) / (last - first) if last > first else inner / 2):.1f}"

    def y(value: float) -> str:
        return f"{HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / chart.highest:.1f}"

    def curve(place: int, series: Series) -> Curve:
        pairs = zip(chart.epochs, series.values, strict=True)
        points = [(x(epoch), y(value)) for epoch, value in pairs if value is not None]
        bands = []
        if series.band:
            edges = [
                (x(epoch), y(low), y(high))
                for epoch, low, high in zip(chart.epochs, *series.band, strict=True)
                if low is not None and high is not None
            ]
            bands = [f"{a[0]},{a[1]} {b[0]},{b[1]} {b[0]},{b[2]} {a[0]},{a[2]}" for a, b in pairwise(edges)]
        return Curve(
            label=series.label,
            colour=place % 8 + 1,
            line=" ".join(f"{left},{top}" for left, top in points),
            points=points,
            bands=bands,
            is_dashed=series.is_dashed,
            is_thick=series.is_thick,
        )

    step = -(-len(chart.epochs) // _MOST_TICKS)
    return Drawing(
        chart=chart,
        curves=[curve(place, series) for place, series in enumerate(chart.series)],
        across=[(y(chart.highest * n / 5), f"{chart.highest * n / 5:g}") for n in range(6)],
        down=[(x(epoch), str(epoch)) for epoch in chart.epochs[::step]],
    )
