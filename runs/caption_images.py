"""What the pictures of a caption version say: codes that are not in them, pictures that come twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import HEX_CODE, ciede2000, parse_hex, to_lab
from punklab.pixels.finish import palette_of
from runs.caption_pairs import Pair

# A code is foreign when it is further than this (CIEDE2000) from every colour of its picture.
FOREIGN = 10.0
# Two pictures are nearly one when their cells differ by less than this on the average (CIEDE2000).
NEARLY = 3.0
# In CIELAB a mean difference of 3 is seldom more than this; what lies further apart is not compared cell by cell.
_BUCKET = 6.0
_BLOCKS = 4


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
    kept: list[tuple[Pair, NDArray[np.float64]]] = []
    buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for pair in pairs:
        assert pair.cells is not None
        outline = _outline(pair.cells)
        here = tuple(np.floor(outline.mean(axis=0) / _BUCKET).astype(int).tolist())
        around = [i for step in product((-1, 0, 1), repeat=3) for i in buckets.get(_moved(here, step), ())]
        repeat = _nearest(pair, outline, [kept[i] for i in around])
        if repeat:
            yield repeat
        else:
            buckets[here].append(len(kept))
            kept.append((pair, outline))


def _moved(place: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(place, step, strict=True))


def _outline(cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean CIELAB colours of 4 by 4 blocks, (16, 3): two pictures differ by at least what these differ."""
    size = cells.shape[0] // _BLOCKS
    lab = to_lab(cells).reshape(_BLOCKS, size, _BLOCKS, size, 3)
    outline: NDArray[np.float64] = lab.mean(axis=(1, 3)).reshape(-1, 3)
    return outline


def _nearest(pair: Pair, outline: NDArray[np.float64], others: list[tuple[Pair, NDArray[np.float64]]]) -> Repeat | None:
    if not others:
        return None
    apart = np.sqrt(((np.stack([other for _, other in others]) - outline) ** 2).sum(axis=-1)).mean(axis=1)
    best: tuple[float, str] | None = None
    for i in np.flatnonzero(apart < _BUCKET):
        other = others[int(i)][0]
        assert pair.cells is not None
        assert other.cells is not None
        distance = float(ciede2000(to_lab(pair.cells), to_lab(other.cells)).mean())
        best = min(best or (NEARLY, ""), (distance, other.stem))
    if best is None or not best[1]:
        return None
    return Repeat(pair.stem, "near_duplicate_image", f"nearly the picture {best[1]}.png: mean difference {best[0]:.1f}")
