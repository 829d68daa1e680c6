"""From a rendered picture to finished 24 by 24 pixel art.

A diffusion model renders each cell in a shade of its own, 177 to 487 colours where the collection's punks have 9 to
27 that a person can tell apart. So the shades are merged, and the count is brought into the collection's band.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.pixels.colour import ciede2000, to_lab
from punklab.pixels.grid import sample
from punklab.pixels.palette import palette_of

NEAR = 5.0
MOST = 27
# The 95th percentile of the real punks' raw colours: up to here a picture is drawn, not rendered, and keeps its shades.
DRAWN = 50
# A lone cell inside the background is its noise up to this many times the merging distance.
_SPECK = 2.0
# A colour is background when it has this share of the upper and side border.
_BACKGROUND_SHARE = 0.15
# Bounds that spare most pairs the long formula. Lightness is divided by at most 1.747. The rotation term takes at
# most 0.867 of the rest, and chroma's divisor, the larger of the two, is at most 1 + 0.045 * 1.5 * chroma.
_LIGHTNESS_WEIGHT = 1.75
_CHORD_WEIGHT = 2.75
_CHROMA_WEIGHT = 0.0675


# "punk24-1" brings pictures into the lab's own band, "punk24-2:23" to at most as many colours as it says.
_FIRST, _NAMED = "punk24-1", re.compile(r"punk24-2:([1-9]\d{0,2})")


def name_of(most: int) -> str:
    """The name of the finish that leaves at most so many colours (1 to 999), as requests carry it."""
    return f"punk24-2:{most}"


def finish_of(name: str) -> Callable[[Image.Image], Image.Image]:
    """The finish that a name stands for. Raises ValueError for an unknown one."""
    if name == _FIRST:
        return finish
    if found := _NAMED.fullmatch(name):
        return partial(finish, most=int(found[1]))
    raise ValueError(f"finish is {name!r}; known are {_FIRST} and {name_of(MOST)}, with any number of colours")


def finish(image: Image.Image, *, merge: float = NEAR, most: int = MOST) -> Image.Image:
    """The picture as finished 24x24 RGB pixel art; the same picture always gives the same bytes.

    Colours nearer than `merge` (CIEDE2000) become one, the larger area's colour winning; then the nearest pairs go on
    merging until at most `most` colours are left. Nearness alone decides, never area: eyes and lips of two cells stay
    as long as their colour is distinct. A lone stray shade in the background becomes background. A picture with no more raw colours than real punks have is taken as drawn: it
    loses only what the band does not allow.
    """
    return Image.fromarray(merge_colours(sample(image), merge=merge, most=most))


def merge_colours(cells: NDArray[np.uint8], *, merge: float = NEAR, most: int = MOST) -> NDArray[np.uint8]:
    """The cells, shape (rows, columns, 3), with near colours made one; see `finish`."""
    colours, which, counts = palette_of(cells)
    rendered = len(colours) > DRAWN
    into = group(to_lab(colours), counts, merge if rendered else 0.0, most)
    merged: NDArray[np.uint8] = colours[into][which]
    return _without_specks(merged, _SPECK * merge) if rendered else merged


def group(
    lab: NDArray[np.float64], counts: NDArray[np.intp], limit: float, most: int | None = None
) -> NDArray[np.intp]:
    """For each colour the index of the one it merges into (itself when it stays).

    Pairs merge from the nearest on, the smaller into the larger, while nearer than `limit` or more than `most` are left.
    """
    parent, sizes = np.arange(len(lab)), counts.tolist()
    _merge_pairs(*_near_pairs(lab, limit), parent, sizes)
    if most is not None:
        _reduce(lab, parent, sizes, most)
    return _roots(parent)


def _without_specks(cells: NDArray[np.uint8], reach: float) -> NDArray[np.uint8]:
    """The cells with each stray shade in the background made background.

    Stray is a cell that has one background colour on three or four sides and is nearer to it than `reach`. Elsewhere
    single cells are the artist's: hair has strands.
    """
    colours, which, _ = palette_of(cells)
    border = np.concatenate([which[0], which[:, 0], which[:, -1]])
    shares = np.bincount(border, minlength=len(colours)) / len(border)
    around = np.pad(which, 1, mode="reflect")
    sides = np.stack([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]])
    cleaned = which.copy()
    for background in np.flatnonzero(shares >= _BACKGROUND_SHARE):
        near = ciede2000(to_lab(colours), to_lab(colours[background])) < reach
        cleaned[((sides == background).sum(axis=0) >= 3) & near[which]] = background
    solid: NDArray[np.uint8] = colours[cleaned]
    return solid


def _merge_pairs(
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    parent: NDArray[np.intp],
    sizes: list[int],
    surplus: int | None = None,
) -> None:
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        if surplus == 0:
            return
        if parent[one] != one or parent[other] != other:
            continue
        winner, loser = (one, other) if sizes[one] >= sizes[other] else (other, one)
        parent[loser] = winner
        sizes[winner] += sizes[loser]
        surplus = None if surplus is None else surplus - 1


def _near_pairs(lab: NDArray[np.float64], limit: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (first < second) nearer than `limit`, the nearest first."""
    first, second = _candidates(lab, limit)
    distance = ciede2000(lab[first], lab[second])
    near = np.flatnonzero(distance < limit)
    first, second, distance = first[near], second[near], distance[near]
    order = np.argsort(distance, kind="stable")
    return first[order], second[order]


def _candidates(lab: NDArray[np.float64], limit: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    order = np.argsort(lab[:, 0], kind="stable")
    light, tint = lab[order, 0], lab[order, 1:]
    ends = np.searchsorted(light, light + _LIGHTNESS_WEIGHT * limit, side="right")
    spans = ends - np.arange(1, len(light) + 1)
    lower = np.repeat(np.arange(len(light)), spans)
    upper = lower + 1 + np.arange(len(lower)) - np.repeat(np.cumsum(spans) - spans, spans)
    chroma = np.hypot(tint[:, 0], tint[:, 1])
    apart = tint[lower] - tint[upper]
    reach = _CHORD_WEIGHT * limit * (1 + _CHROMA_WEIGHT * (chroma[lower] + chroma[upper]) / 2)
    close = np.hypot(apart[:, 0], apart[:, 1]) < reach
    one, other = order[lower[close]], order[upper[close]]
    return np.minimum(one, other), np.maximum(one, other)


def _reduce(lab: NDArray[np.float64], parent: NDArray[np.intp], sizes: list[int], most: int) -> None:
    left = np.flatnonzero(parent == np.arange(len(parent)))
    surplus = len(left) - max(1, most)
    if surplus > 0:
        first, second = _near_pairs(lab[left], np.inf)
        _merge_pairs(left[first], left[second], parent, sizes, surplus)


def _roots(parent: NDArray[np.intp]) -> NDArray[np.intp]:
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent
