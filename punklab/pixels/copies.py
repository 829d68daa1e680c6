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
_DIRECTIONS = 32
_BLACK = 8  # of 255; darker is black to everyone, and noise in it a large step in OKLab
_ROUNDING = 1e-3  # what single precision may lose of a squared distance


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture: its place in the index and how far it is (see `CopyIndex.nearest`)."""

    place: int
    distance: float


@dataclass(frozen=True)
class CopyIndex:
    """Training pictures to search: `cells` (n, 24, 24, 3) uint8. Immutable; what it is searched by is made on first use.

    A distance is never shorter than that of what two pictures have along a few directions, and of how long the rest of
    each is. Only pictures that this bound leaves are compared cell by cell.
    """

    cells: Cells

    def nearest(self, cells: Cells) -> Nearest | None:
        """The nearest picture over mirroring and shifts by a cell; None of an empty index.

        The distance is Euclidean in OKLab, the root of the mean square over the 22x22 cells compared: 0 to about 1.
        """
        return self._nearest(cells, np.zeros(len(self.cells), dtype=bool))

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
        without = np.zeros(len(self.cells), dtype=bool)
        without[place] = True
        while (found := self._nearest(self.cells[place], without)) is not None:
            if found.distance > 2 * _MOST or not _nearly_one(self.cells[place], self.cells[found.place]):
                return found
            without[found.place] = True
        return None

    def _nearest(self, cells: Cells, without: NDArray[np.bool_]) -> Nearest | None:
        if without.all():
            return None
        whole = _oklab_of(cells)
        both = np.stack([whole, whole[:, ::-1]])[:, 1:-1, 1:-1]
        shifted = np.zeros((2, len(_SHIFTS), 24, 24, 3), dtype=np.float32)
        for place, (down, right) in enumerate(_SHIFTS):
            shifted[:, place, down : down + _SIDE, right : right + _SIDE] = both
        moved = shifted.reshape(2 * len(_SHIFTS), -1)
        bounds = self._bounds(both.reshape(2, -1))
        bounds[without] = np.inf
        near_enough = float(self._squared(moved, np.array([bounds.argmin()]))[0]) + _ROUNDING
        left = np.flatnonzero(bounds <= near_enough)
        nearest = int(left[self._squared(moved, left).argmin()])
        return Nearest(nearest, self._distance(both, nearest))

    def _bounds(self, queries: Floats32) -> Floats32:
        """A lower bound of the squared distance of each picture to the nearer of two queries (2, 1452): (n,)."""
        along = _along(queries, self._directions)
        lengths = (along**2).sum(axis=1, keepdims=True)
        bounds = (lengths - 2 * along @ self._points).min(axis=0) + self._lengths
        nearest: Floats32 = bounds.reshape(len(_SHIFTS), -1).min(axis=0)
        return nearest

    def _squared(self, moved: Floats32, places: NDArray[np.intp]) -> Floats32:
        """The squared distance to some pictures by one product of matrices: (len(places),).

        `moved` (18, 1728) are the queries where they lie under each shift.
        """
        products = moved @ self._oklab[places].T
        squared = (np.tile(self._squares[:, places], (2, 1)) - 2 * products).min(axis=0)
        nearest: Floats32 = squared + (moved[0] ** 2).sum()
        return nearest

    def _distance(self, both: Floats32, place: int) -> float:
        """The distance to one picture by the differences themselves: a product of matrices rounds small ones."""
        other = self._oklab[place].reshape(24, 24, 3)
        windows = np.stack([other[y : y + _SIDE, x : x + _SIDE] for y, x in _SHIFTS])
        return float(np.sqrt(((both[:, None] - windows) ** 2).sum(axis=(2, 3, 4)).min())) / _SIDE

    @cached_property
    def _oklab(self) -> Floats32:
        return _oklab_of(self.cells).reshape(len(self.cells), -1)

    @cached_property
    def _squares(self) -> Floats32:
        """The sum of squares of each picture under each shift, (9, n)."""
        squares = (self._oklab.reshape(-1, 24, 24, 3) ** 2).sum(axis=-1)
        return np.stack([squares[:, y : y + _SIDE, x : x + _SIDE].sum(axis=(1, 2)) for y, x in _SHIFTS])

    @cached_property
    def _directions(self) -> Floats32:
        """The directions in which some of the pictures differ most, (1452, up to 32), orthonormal."""
        some = self._oklab[:: max(1, len(self.cells) // _MOST_LEFT_OUT)].reshape(-1, 24, 24, 3)
        middles = some[:, 1:-1, 1:-1].reshape(len(some), -1)
        return np.linalg.svd(middles, full_matrices=False)[2][:_DIRECTIONS].T.copy()

    @cached_property
    def _points(self) -> Floats32:
        """Each picture under each shift along the directions, with the length of the rest: (up to 33, 9 n)."""
        pictures = self._oklab.reshape(-1, 24, 24, 3)
        windows = (pictures[:, y : y + _SIDE, x : x + _SIDE].reshape(len(pictures), -1) for y, x in _SHIFTS)
        return np.concatenate([_along(each, self._directions) for each in windows]).T.copy()

    @cached_property
    def _lengths(self) -> Floats32:
        lengths: Floats32 = (self._points**2).sum(axis=0)
        return lengths


def _oklab_of(cells: Cells) -> Floats32:
    return to_oklab(np.maximum(cells, _BLACK)).astype(np.float32)


def _along(pictures: Floats32, directions: Floats32) -> Floats32:
    """Pictures (n, 1452) along orthonormal directions, and the length of what is left of each: (n, directions + 1)."""
    along = pictures @ directions
    rest = np.sqrt(np.maximum((pictures**2).sum(axis=1) - (along**2).sum(axis=1), 0))
    return np.column_stack([along, rest])


def _nearly_one(first: Cells, second: Cells) -> bool:
    return float(ciede2000(to_lab(first), to_lab(second)).mean()) < NEARLY_ONE
