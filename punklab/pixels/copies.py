"""The training picture that a picture is nearest to: exact over mirrored and shifted ones, among hundreds or thousands.

Two pictures are compared on the 22x22 cells that are left when either is shifted by one cell, so that a shift costs
nothing and the border, which a shift loses, never counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import ciede2000, to_lab, to_oklab

Cells = NDArray[np.uint8]
Floats32 = NDArray[np.float32]

_SHIFTS = tuple(product(range(3), range(3)))
_SIDE = 22
# Pictures whose cells differ by less than this on the average (CIEDE2000) are one picture drawn twice.
NEARLY_ONE = 3.0
# A copy is nearer than this share of what the nearest two different training pictures are apart.
_SHARE_OF_NEAREST = 0.8
# What re-encoding costs at most: a collection whose own pictures lie closer than this cannot tell copies apart better.
_LEAST, _MOST = 0.04, 0.08
_MOST_LEFT_OUT = 300


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture: its place in the index and how far it is (see `CopyIndex.nearest`)."""

    place: int
    distance: float


@dataclass(frozen=True)
class CopyIndex:
    """Training pictures to search: `cells` (n, 24, 24, 3) uint8. Immutable; what it is searched by is made on first use."""

    cells: Cells

    def nearest(self, cells: Cells) -> Nearest | None:
        """The nearest picture over mirroring and shifts by a cell; None of an empty index.

        The distance is Euclidean in OKLab, the root of the mean square over the 22x22 cells compared: 0 to about 1.
        """
        if not len(self.cells):
            return None
        place = int(self._distances(cells).argmin())
        return Nearest(place, self._distance(cells, place))

    @cached_property
    def threshold(self) -> float:
        """The distance below which a picture is a copy: a share of the smallest between two different pictures here.

        Each picture (300 of a larger collection) is left out and searched for among the others, its near duplicates
        left out with it.
        """
        places = np.linspace(0, len(self.cells) - 1, min(len(self.cells), _MOST_LEFT_OUT)).round().astype(int)
        apart = [found.distance for place in dict.fromkeys(places.tolist()) if (found := self._left_out(place))]
        return float(np.clip(_SHARE_OF_NEAREST * min(apart, default=_MOST), _LEAST, _MOST))

    def _left_out(self, place: int) -> Nearest | None:
        distances = self._distances(self.cells[place])
        distances[place] = np.inf
        while np.isfinite(distances).any():
            nearest = int(distances.argmin())
            if distances[nearest] > 2 * _MOST or not _nearly_one(self.cells[place], self.cells[nearest]):
                return Nearest(nearest, float(distances[nearest]))
            distances[nearest] = np.inf
        return None

    def _distances(self, cells: Cells) -> Floats32:
        """The distance to each picture, (n,): squares of differences by one product of matrices."""
        whole = to_oklab(cells).astype(np.float32)
        moved = np.zeros((2, len(_SHIFTS), 24, 24, 3), dtype=np.float32)
        for side, query in enumerate((whole, whole[:, ::-1])):
            for place, (down, right) in enumerate(_SHIFTS):
                moved[side, place, down : down + _SIDE, right : right + _SIDE] = query[1:-1, 1:-1]
        products = moved.reshape(2 * len(_SHIFTS), -1) @ self._oklab.T
        nearest = (np.tile(self._squares, (2, 1)) - 2 * products).min(axis=0) + (whole[1:-1, 1:-1] ** 2).sum()
        distances: Floats32 = np.sqrt(np.maximum(nearest, 0)) / _SIDE
        return distances

    def _distance(self, cells: Cells, place: int) -> float:
        """The distance to one picture, by the differences themselves: a product of matrices rounds small ones."""
        whole, other = to_oklab(cells), to_oklab(self.cells[place])
        windows = np.stack([other[y : y + _SIDE, x : x + _SIDE] for y, x in _SHIFTS])
        crops = np.stack([whole[1:-1, 1:-1], whole[:, ::-1][1:-1, 1:-1]])[:, None]
        return float(np.sqrt(((crops - windows) ** 2).sum(axis=(2, 3, 4)).min())) / _SIDE

    @cached_property
    def _oklab(self) -> Floats32:
        return to_oklab(self.cells).astype(np.float32).reshape(len(self.cells), -1)

    @cached_property
    def _squares(self) -> Floats32:
        """The sum of squares of each picture under each shift, (9, n)."""
        squares = (self._oklab.reshape(-1, 24, 24, 3) ** 2).sum(axis=-1)
        return np.stack([squares[:, y : y + _SIDE, x : x + _SIDE].sum(axis=(1, 2)) for y, x in _SHIFTS])


def _nearly_one(first: Cells, second: Cells) -> bool:
    return float(ciede2000(to_lab(first), to_lab(second)).mean()) < NEARLY_ONE
