"""Which raster a picture was drawn on: how many columns and rows, how far it is moved, and how well it fits.

Edges of drawn cells repeat, so the spectrum of a picture's edges has a line at the number of cells: the phase of that
line says where the raster begins. How well a raster fits is asked of the colours inside its cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import to_rough_lab
from punklab.pixels.grid import SIDE, samples_at

Floats = NDArray[np.float64]

ON_GRID = 0.5
SMALLEST = 2 * SIDE  # pixels: with one pixel a cell there is nothing inside a cell to look at
_FEWEST, _MOST = 8, 128  # cells along a side that are looked for
_LINES = 24  # lines of pixels that edges are read from
# A raster's line in the spectrum is this high beside all edges; that of a coarser one counts when nearly as high.
_LINE, _NEARLY = 0.5, 0.8
# Steps up to so many times the usual one are grain or the blocks of a JPEG.
_NOISE = 3
_PARTS = range(10, 1, -1)
_COARSER = SIDE // 2
# Samples along one side of a cell: more change its median too little to be worth their time.
_SAMPLES = 3
_EVERY = 2  # rows of cells: what lies on a raster does so in every second of them
_UNEVEN = 1.0  # CIELAB, mean inside a cell: just visible
_FLAT = 1e-9


@dataclass(frozen=True)
class Lattice:
    """The raster of a picture. `score`, -1 to 1, is above 0.5 when it lies on `columns` by `rows` cells.

    `phase` is how far the raster is moved to the right and down, in cells from -0.5 to 0.5. Columns and rows are None,
    and the score is that of 24 by 24, where no raster is found. `uneven_share`, 0 to 1, is the share of 24 by 24 cells
    whose inside is no single colour.
    """

    score: float
    columns: int | None
    rows: int | None
    phase: tuple[float, float]
    uneven_share: float

    @property
    def is_punk(self) -> bool:
        """Whether it is the raster of a punk."""
        return self.columns == self.rows == SIDE


def lattice_of(pixels: NDArray[np.uint8]) -> Lattice | None:
    """The raster that a picture (height, width, 3) lies on; None below 48 pixels a side, where nothing can be told.

    The score is `(H - R) / H`: R is the mean CIELAB distance to the median inside the inner half of the cells, H the
    same with the raster moved by half a cell. A picture of one colour scores 0.
    """
    if min(pixels.shape[:2]) < SMALLEST:
        return None
    inside = _unevenness(pixels, SIDE, SIDE, (0.0, 0.0))
    uneven_share = float((inside > _UNEVEN).mean())
    columns, right = _line(_edges(pixels))
    rows, down = _line(_edges(pixels.swapaxes(0, 1)))
    if columns and rows and (columns, rows, right, down) != (SIDE, SIDE, 0.0, 0.0):
        phase = (right, down)
        score = _score(_unevenness(pixels, columns, rows, phase), pixels, columns, rows, phase)
        if score > ON_GRID:
            return Lattice(score, columns, rows, phase, uneven_share)
    score = _score(inside, pixels, SIDE, SIDE, (0.0, 0.0))
    if score <= ON_GRID:
        return Lattice(score, None, None, (0.0, 0.0), uneven_share)
    # The cells of a coarser raster are whole in 24 by 24 too.
    coarse = _score(_unevenness(pixels, _COARSER, _COARSER, (0.0, 0.0)), pixels, _COARSER, _COARSER, (0.0, 0.0))
    cells = _COARSER if coarse >= score else SIDE
    return Lattice(max(score, coarse), cells, cells, (0.0, 0.0), uneven_share)


def _edges(pixels: NDArray[np.uint8]) -> Floats:
    """How strong the edges between neighbouring columns of pixels are: entry x is that between x - 1 and x."""
    some = np.linspace(0, len(pixels) - 1, min(len(pixels), _LINES)).round().astype(np.intp)
    lines = pixels[some].astype(np.int16)
    apart = np.abs(lines[:, 1:] - lines[:, :-1])
    steps = (apart[..., 0] + apart[..., 1] + apart[..., 2]).astype(np.float32)
    middle = steps.size // 2
    steps = np.maximum(steps - _NOISE * np.partition(steps.ravel(), middle)[middle], 0)
    strength = np.einsum("yx,yx->x", steps, steps) / len(steps)
    edges = np.zeros(pixels.shape[1])
    # What most places have is noise, not a line.
    edges[1:] = np.maximum(strength - np.median(strength), 0)
    return edges


def _line(edges: Floats) -> tuple[int | None, float]:
    """How often the edges repeat, and the phase of the first; None where they do not."""
    spectrum = np.fft.rfft(edges)
    total = spectrum[0].real
    if total <= 0:
        return None, 0.0
    height = np.abs(spectrum) / total
    height[:_FEWEST] = 0
    height[min(len(edges) // 2, _MOST) + 1 :] = 0
    if height.max() < _LINE:
        return None, 0.0
    cells = int(height.argmax())
    # Every raster repeats at its half and third cells too: the coarsest that explains the edges is the one.
    cells = next(
        (cells // part for part in _PARTS if cells % part == 0 and height[cells // part] >= _NEARLY * height[cells]),
        cells,
    )
    phase = round(float(-np.angle(spectrum[cells]) / (2 * np.pi)), 2)
    # Rounding to whole pixels alone moves a raster by as much.
    return cells, 0.0 if abs(phase) <= max(0.1, cells / len(edges)) else phase


def _score(here: Floats, pixels: NDArray[np.uint8], columns: int, rows: int, phase: tuple[float, float]) -> float:
    inside = float(here.mean())
    moved = float(_unevenness(pixels, columns, rows, (_half(phase[0]), _half(phase[1]))).mean())
    if moved < _FLAT:
        return 0.0 if inside < _FLAT else -1.0
    return max(-1.0, min(1.0, (moved - inside) / moved))


def _half(phase: float) -> float:
    return phase - 0.5 if phase > 0 else phase + 0.5


def _unevenness(pixels: NDArray[np.uint8], columns: int, rows: int, phase: tuple[float, float]) -> Floats:
    """Mean CIELAB distance to the median inside each cell that lies whole in the picture."""
    down = _positions(pixels.shape[0], rows, phase[1])[::_EVERY]
    across = _positions(pixels.shape[1], columns, phase[0])
    lab = to_rough_lab(samples_at(pixels, down, across))
    middle = lab.shape[2] // 2
    apart = lab - np.sort(lab, axis=2)[:, :, middle : middle + 1]
    unevenness: Floats = np.sqrt(np.einsum("rcsx,rcsx->rcs", apart, apart)).mean(axis=-1, dtype=float)
    return unevenness


@lru_cache(maxsize=128)
def _positions(length: int, cells: int, phase: float) -> NDArray[np.intp]:
    """Pixel indices inside each whole cell, shape (cells, samples): of its inner half, below four pixels of all of it."""
    size = length / cells
    centres = (np.arange(-1, cells + 1) + 0.5 + phase) * size
    centres = centres[(centres - size / 2 >= -0.5) & (centres + size / 2 <= length + 0.5)]
    if size < 4:
        samples = max(2, round(size))
        offsets = np.arange(samples) - (samples - 1) / 2
    else:
        samples = min(_SAMPLES, max(3, int(size / 2)))
        offsets = np.linspace(-1, 1, samples) * (size / 2 - 1) / 2
    return np.clip(np.floor(centres[:, None] + offsets), 0, length - 1).astype(np.intp)
