"""Where the background and the hair of a punk are, by rules that need no model.

The background touches the border; the face is the skin in the middle; hair is what lies over and beside the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import ciede2000, to_lab
from punklab.pixels.finish import NEAR, group, palette_of

# Neighbours nearer than this run into each other: a gradient is one background.
_STEP = 8.0
_SHARE_OF_BORDER = 0.2
_OUTLINE_LIGHTNESS = 12.0


@dataclass(frozen=True)
class Regions:
    """Boolean masks over the cells; `skin` and `hair` may be empty."""

    background: NDArray[np.bool_]
    skin: NDArray[np.bool_]
    hair: NDArray[np.bool_]


def regions(cells: NDArray[np.uint8]) -> Regions:
    """Background, skin and hair of a portrait of shape (rows, columns, 3)."""
    lab = to_lab(cells)
    areas = _areas(cells, NEAR)
    background = _background(lab, areas)
    skin = _skin(areas, background)
    return Regions(background, skin, _hair(cells, lab, background, skin))


def largest_colour(
    cells: NDArray[np.uint8], mask: NDArray[np.bool_], near: float = NEAR
) -> tuple[NDArray[np.uint8], float]:
    """The main colour inside a mask and its share of it, 0 to 1, shades nearer than `near` taken together."""
    inside = cells[mask][None]
    colours, which, counts = palette_of(inside)
    into = group(to_lab(colours), counts, near)
    areas = np.bincount(into[which].ravel(), minlength=len(colours))
    largest = int(areas.argmax())
    return colours[largest], float(areas[largest] / areas.sum())


def _areas(cells: NDArray[np.uint8], near: float) -> NDArray[np.intp]:
    """A number for each cell; cells of one number have nearly one colour."""
    colours, which, counts = palette_of(cells)
    areas: NDArray[np.intp] = group(to_lab(colours), counts, near)[which]
    return areas


def _background(lab: NDArray[np.float64], areas: NDArray[np.intp]) -> NDArray[np.bool_]:
    """What is joined to the upper border: each area with a fair share of it, and what runs on from there in small steps.

    The lower border belongs to shoulders and long hair.
    """
    upper = np.zeros(areas.shape, dtype=bool)
    upper[0] = True
    upper[: areas.shape[0] * 5 // 12, [0, -1]] = True
    counts = np.bincount(areas[upper], minlength=int(areas.max()) + 1)
    wide = counts >= max(_SHARE_OF_BORDER * upper.sum(), 1)
    wide[counts.argmax()] = True
    return _flood(upper & wide[areas], *_small_steps(lab, areas))


def _small_steps(lab: NDArray[np.float64], areas: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether one may step from a cell to the one below it, and to the one on its right."""
    down = (ciede2000(lab[:-1], lab[1:]) < _STEP) | (areas[:-1] == areas[1:])
    right = (ciede2000(lab[:, :-1], lab[:, 1:]) < _STEP) | (areas[:, :-1] == areas[:, 1:])
    return down, right


def _flood(seeds: NDArray[np.bool_], down: NDArray[np.bool_], right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    reached = seeds.copy()
    while True:
        before = int(reached.sum())
        reached[1:] |= reached[:-1] & down
        reached[:-1] |= reached[1:] & down
        reached[:, 1:] |= reached[:, :-1] & right
        reached[:, :-1] |= reached[:, 1:] & right
        if int(reached.sum()) == before:
            return reached


def _skin(areas: NDArray[np.intp], background: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest area in the middle, where the lab's portraits have the face."""
    rows, columns = areas.shape
    middle = np.zeros(areas.shape, dtype=bool)
    middle[rows * 3 // 8 : rows * 3 // 4, columns // 3 : columns * 2 // 3] = True
    middle &= ~background
    if not middle.any():
        return middle
    face = areas == np.bincount(areas[middle]).argmax()
    skin: NDArray[np.bool_] = np.logical_and(face, ~background)
    return skin


def _hair(
    cells: NDArray[np.uint8], lab: NDArray[np.float64], background: NDArray[np.bool_], skin: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Over the face and beside it down to the mouth, without background, skin and, as far as other colours are left, outline."""
    hair = np.zeros_like(background)
    if not skin.any():
        return hair
    rows, columns = np.nonzero(skin)
    inner = np.zeros_like(background)
    # Eyes, nose and lips lie between the outermost skin cells of their row.
    for row in np.unique(rows):
        across = columns[rows == row]
        inner[row, across.min() : across.max() + 1] = True
    mouth = int(np.percentile(rows, 60))
    hair[: mouth + 1] = True
    hair &= ~background & ~skin & ~inner
    shaded = hair & ((lab[..., 0] > _OUTLINE_LIGHTNESS) | ~_thin(hair & (lab[..., 0] <= _OUTLINE_LIGHTNESS)))
    return shaded if shaded.any() else hair


def _thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells of the mask that lie in no two by two block of it: an outline, not an area."""
    blocks = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]
    thick = np.zeros_like(mask)
    for down in (0, 1):
        for right in (0, 1):
            thick[down : down + blocks.shape[0], right : right + blocks.shape[1]] |= blocks
    return mask & ~thick
