"""A training picture taken apart for the caption workbench: its 24x24 cells, its regions and their colours."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from punklab.pixels.collection import shipped
from punklab.pixels.colour import format_hex
from punklab.pixels.measures import LETTERS
from punklab.pixels.naming import colour_word
from punklab.pixels.outlines import Outline, outlines
from punklab.pixels.palette import palette_of
from punklab.pixels.portrait import PARTS, scene_of
from runs.caption_pairs import read_picture

MOST_COLOURS = 8
_CELLS = 24 * 24


@dataclass(frozen=True)
class Swatch:
    """A colour of a region: `share` of the region's cells, 0 to 1."""

    hex: str
    word: str
    share: float


@dataclass(frozen=True)
class Region:
    """A part of the picture: its share of the cells, 0 to 1, its commonest colours, and how many more there are."""

    part: str
    share: float
    colours: tuple[Swatch, ...]
    n_more: int


@dataclass(frozen=True)
class Look:
    """`cells` is a PNG of 24x24 as a data URL; regions with the largest first."""

    cells: str
    outlines: tuple[Outline, ...]
    regions: tuple[Region, ...]


@lru_cache(maxsize=256)
def look(png: bytes) -> Look:
    """The picture's regions and colours, about 10 ms; again from memory. Raises PairError for a damaged PNG."""
    cells = read_picture(png).cells
    labels = shipped().prior.read(scene_of(cells)).portrait.labels
    letters = np.array(list(LETTERS.values()))[labels]
    regions = [_region(part, cells[labels == index]) for index, part in enumerate(PARTS) if (labels == index).any()]
    return Look(
        _data_url(cells),
        tuple(outlines(["".join(row) for row in letters])),
        tuple(sorted(regions, key=lambda region: -region.share)),
    )


def _region(part: str, cells: np.ndarray) -> Region:
    colours, _, counts = palette_of(cells[None])
    commonest = np.argsort(-counts, kind="stable")[:MOST_COLOURS]
    swatches = [
        Swatch(format_hex(colours[i]), colour_word(colours[i], part), float(counts[i] / counts.sum()))
        for i in commonest
    ]
    return Region(part.replace("_", " "), len(cells) / _CELLS, tuple(swatches), len(colours) - len(swatches))


def _data_url(cells: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(cells).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
