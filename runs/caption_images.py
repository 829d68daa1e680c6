"""What the pictures of a caption version say: codes that are not in them, pictures that come twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import HEX_CODE, ciede2000, parse_hex, to_lab
from punklab.pixels.palette import palette_of
from runs.caption_pairs import Pair

# A code is foreign when it is further than this (CIEDE2000) from every colour of its picture.
FOREIGN = 10.0
# Two pictures are nearly one when their cells differ by less than this on the average (CIEDE2000).
NEARLY = 3.0
# In CIELAB a mean difference of 3 is seldom more than this; what lies further apart is not compared cell by cell.
_BUCKET = 6.0
_BLOCKS = 4
_AROUND = tuple(product((-1, 0, 1), repeat=3))


@dataclass(frozen=True)
class Repeat:
    """A picture that came before, exactly or nearly: `duplicate_image` or `near_duplicate_image`."""

    stem: str
    code: str
    detail: str


def foreign_codes(pairs: Sequence[Pair]) -> list[list[str]]:
    """For each pair the colour codes of the caption that no cell of its picture comes near."""
    return [_foreign(pair) for pair in pairs]


def repeated_images(pairs: Sequence[Pair]) -> Iterator[Repeat]:
    """Pictures that repeat an earlier one of the list, each named once with the one it repeats.

    Pictures are put into buckets by their mean colour, and only neighbours are compared, and only with the first of
    each group of likes: the cost per picture does not grow with their number.
    """
    first: dict[bytes, Pair] = {}
    originals = []
    for pair in pairs:
        if pair.cells is None:
            continue
        earlier = first.setdefault(pair.cells.tobytes(), pair)
        if earlier is pair:
            originals.append(pair)
        else:
            yield Repeat(pair.stem, "duplicate_image", f"the same picture as {earlier.stem}.png")
    yield from _near_repeats(originals)


def _foreign(pair: Pair) -> list[str]:
    codes = list(dict.fromkeys(f"#{digits.lower()}" for digits in HEX_CODE.findall(pair.text)))
    if pair.cells is None or not codes:
        return []
    colours = palette_of(pair.cells)[0]
    wanted = np.array([parse_hex(code) for code in codes], dtype=np.uint8)
    absent = ~(wanted[:, None] == colours[None]).all(axis=-1).any(axis=1)
    left = np.flatnonzero(absent)
    if not len(left):
        return []
    distance = ciede2000(to_lab(wanted[left])[:, None], to_lab(colours)[None]).min(axis=1)
    return [codes[i] for i in left[distance > FOREIGN]]


def _near_repeats(pairs: Sequence[Pair]) -> Iterator[Repeat]:
    """Each picture against those kept so far whose mean colour lies in its bucket or in one of the 26 around it."""
    outlines = np.empty((len(pairs), _BLOCKS * _BLOCKS, 3), dtype=np.float32)
    buckets: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, pair in enumerate(pairs):
        outlines[i] = _outline(_cells(pair))
        light, a, b = (int(mean) for mean in np.floor(outlines[i].mean(axis=0) / _BUCKET))
        around = (buckets.get((light + x, a + y, b + z), ()) for x, y, z in _AROUND)
        near = np.fromiter(chain.from_iterable(around), dtype=np.intp)
        likely = near[np.linalg.norm(outlines[near] - outlines[i], axis=-1).mean(axis=1) < _BUCKET]
        if repeat := _nearest(pair, [pairs[j] for j in likely]):
            yield repeat
        else:
            buckets[light, a, b].append(i)


def _outline(cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean CIELAB colours of 4 by 4 blocks, (16, 3): two pictures differ by at least what these differ."""
    size = cells.shape[0] // _BLOCKS
    lab = to_lab(cells).reshape(_BLOCKS, size, _BLOCKS, size, 3)
    outline: NDArray[np.float64] = lab.mean(axis=(1, 3)).reshape(-1, 3)
    return outline


def _nearest(pair: Pair, others: Sequence[Pair]) -> Repeat | None:
    lab = to_lab(_cells(pair))
    distances = [(float(ciede2000(lab, to_lab(_cells(other))).mean()), other.stem) for other in others]
    distance, stem = min(distances, default=(NEARLY, ""))
    if distance >= NEARLY:
        return None
    return Repeat(pair.stem, "near_duplicate_image", f"nearly the picture {stem}.png: mean difference {distance:.1f}")


def _cells(pair: Pair) -> NDArray[np.uint8]:
    if pair.cells is None:
        raise ValueError(f"{pair.stem}: no picture to compare")
    return pair.cells
