"""The colours of a small raster: which there are, and which of them are one to the eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import to_din99o, to_lab

# DIN99o; about 5 of CIEDE2000, the difference up to which two cells of a punk look alike.
NEAR = 6.0


@dataclass(frozen=True)
class Palette:
    """Colours a person tells apart in a raster: `colours` (n, 3) uint8, `points` (n, 3) DIN99o, `which` (rows, columns)."""

    colours: NDArray[np.uint8]
    points: NDArray[np.float64]
    which: NDArray[np.intp]
    n_raw: int

    @property
    def sizes(self) -> NDArray[np.intp]:
        """How many cells have each colour."""
        sizes: NDArray[np.intp] = np.bincount(self.which.ravel(), minlength=len(self.colours))
        return sizes


def palette_of(cells: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.intp], NDArray[np.intp]]:
    """Distinct colours (n, 3) in a fixed order, the index of each cell's colour, and how many cells have each."""
    wide = cells.astype(np.uint32)
    codes = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    distinct, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([distinct >> 16, (distinct >> 8) & 255, distinct & 255], axis=-1).astype(np.uint8)
    return colours, which.reshape(codes.shape), counts


def merged_palette(cells: NDArray[np.uint8], near: float = NEAR) -> Palette:
    """The palette with colours nearer than `near` (DIN99o) taken as one, the densest shade standing for its likes.

    Greedy from the shade with most cells around it on; the same cells always give the same palette.
    """
    colours, which, counts = palette_of(cells)
    points = to_din99o(to_lab(colours))
    centres, into = _gather(points, counts, near)
    return Palette(colours[centres], points[centres], into[which], len(colours))


def _gather(points: NDArray[np.float64], counts: NDArray[np.intp], near: float) -> tuple[list[int], NDArray[np.intp]]:
    """The points that stand for their likes, and for each point the place of its own in that list."""
    squares = (points**2).sum(axis=1)
    likes = (squares[:, None] + squares - 2 * points @ points.T) < near * near
    weight = likes.astype(np.float32)
    cells = counts.astype(np.float32)
    support = weight @ cells
    into = np.full(len(points), -1, dtype=np.intp)
    lone = np.flatnonzero(np.count_nonzero(likes, axis=1) == 1)
    into[lone] = np.arange(len(lone))
    support[lone] = -np.inf
    centres: list[int] = lone.tolist()
    while (into < 0).any():
        centre = int(support.argmax())
        joined = np.flatnonzero(likes[centre] & (into < 0))
        into[joined] = len(centres)
        centres.append(centre)
        support -= weight[:, joined] @ cells[joined]
        support[joined] = -np.inf
    return centres, into
