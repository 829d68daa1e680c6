"""What is wrong with a portrait, cell by cell: stray cells, eyes off their place, eyes that cannot be told from hair."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import ciede2000, format_hex, to_lab
from punklab.pixels.parts import main_colour
from punklab.pixels.portrait import INDEX, PARTS, Portrait
from punklab.pixels.prior import Reading

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

STRAY, EYES_OFF, EYES_LIKE_HAIR = "stray_cells", "eyes_off_template", "eyes_like_hair"
# DIN99o by which a lone cell stands out from all around it; less is texture.
_STANDS_OUT = 14.0
# The parts in which a lone cell of another part's colour is stray; elsewhere single cells are drawing.
_PLAIN = ("background", "skin")
# Single cells of these belong to every face.
_IS_FEATURE = np.isin(PARTS, ("eyes", "lips", "outline", "jewellery", "eyewear", "facial_hair"))
_LIKE_HAIR = 5.0  # CIEDE2000
# The cells of the pupils in nearly all portraits.
_PUPILS = np.array([(12, 9), (12, 14)])
_DARK = 15.0  # DIN99o lightness of a pupil
_REACH = range(-2, 3)  # cells by which eyes are looked for off their place, the nearest first
_MOVES = sorted(product(_REACH, _REACH), key=lambda move: abs(move[0]) + abs(move[1]))
_MOVED = np.moveaxis(_PUPILS + np.array(_MOVES)[:, None], -1, 0)
_SEEN = 0.15  # how often other portraits have a pupil there, as a share of how often they have it in its place


@dataclass(frozen=True)
class Defect:
    """One defect: its `kind`, the cells concerned as (row, column), and a sentence."""

    kind: str
    cells: tuple[tuple[int, int], ...]
    text: str

    def to_json(self) -> dict[str, Any]:
        """The same as a dictionary, cells as lists."""
        return {**vars(self), "cells": [list(cell) for cell in self.cells]}


def find_defects(reading: Reading, where: Floats, *, eyes_as_asked: bool | None) -> list[Defect]:
    """The defects of a portrait; eyes in the hair's colour are none where they were asked for (`eyes_as_asked`).

    `where` (12, 24, 24) is how likely each part is on each cell of other portraits (`Prior.bare`).
    """
    portrait = reading.portrait
    found = [_strays(portrait), _eyes_off(portrait, where[INDEX["outline"]])]
    if reading.worn["eyewear"] < 0.5 and not eyes_as_asked:
        found.append(_eyes_like_hair(portrait))
    return [defect for defect in found if defect is not None]


def _strays(portrait: Portrait) -> Defect | None:
    """Lone cells in background or skin, unlike all their eight neighbours, in the colour of another part."""
    surrounded = np.logical_or.reduce([np.logical_and.reduce(_around(portrait.mask(part))) for part in _PLAIN])
    which = portrait.scene.palette.which
    sides = _around(which)
    maybe = surrounded & (which != sides[0]) & ~_IS_FEATURE[portrait.labels]
    unlike = portrait.scene.apart[which[maybe]] > _STANDS_OUT
    lone = np.logical_and.reduce([unlike[np.arange(len(unlike)), side[maybe]] for side in sides])
    cells = tuple(cell for cell, is_lone in zip(_cells(maybe), lone, strict=True) if is_lone)
    if not cells:
        return None
    return Defect(STRAY, cells, f"{len(cells)} stray cell{'s' * (len(cells) > 1)} in a colour of another part")


def _around(cells: NDArray[Any]) -> list[NDArray[Any]]:
    """The eight neighbours of every cell, beyond the border those within it."""
    around = np.empty((26, 26), dtype=cells.dtype)
    around[1:-1, 1:-1] = cells
    around[0, 1:-1], around[-1, 1:-1] = cells[1], cells[-2]
    around[:, 0], around[:, -1] = around[:, 2], around[:, -3]
    return [around[1 + y : 25 + y, 1 + x : 25 + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def _eyes_off(portrait: Portrait, pupils: Floats) -> Defect | None:
    """Dark pupils as far apart as they should be, but on cells where other portraits have none."""
    dark = portrait.scene.palette.points[portrait.scene.palette.which][..., 0] < _DARK
    if dark[tuple(_PUPILS.T)].any():
        return None
    skin = portrait.mask("skin") | portrait.mask("eyes") | portrait.mask("eyewear")
    rows, columns = _MOVED
    in_face = dark[rows, columns] & (skin[rows, columns - 1] | skin[rows, columns + 1])
    found = np.flatnonzero(in_face.all(axis=1))
    if not len(found):
        return None
    places = _MOVED[:, found[0]]
    if pupils[tuple(places)].min() >= _SEEN * pupils[tuple(_PUPILS.T)].min():
        return None
    down, right = _MOVES[found[0]]
    return Defect(EYES_OFF, tuple(zip(*places.tolist(), strict=True)), f"eyes lie {_moved(down, right)} their place")


def _moved(down: int, right: int) -> str:
    words = []
    if down:
        words.append(f"{abs(down)} {'below' if down > 0 else 'above'}")
    if right:
        words.append(f"{abs(right)} to the {'right' if right > 0 else 'left'} of")
    return " and ".join(words)


def _eyes_like_hair(portrait: Portrait) -> Defect | None:
    eyes, hair = portrait.mask("eyes"), portrait.mask("hair")
    of_eyes, of_hair = main_colour(portrait, eyes), main_colour(portrait, hair)
    if of_eyes is None or of_hair is None or hair.sum() < len(PARTS):
        return None
    apart = float(ciede2000(*to_lab([of_eyes.colour, of_hair.colour])))
    if apart >= _LIKE_HAIR:
        return None
    return Defect(
        EYES_LIKE_HAIR,
        _cells(eyes),
        f"eyes {format_hex(of_eyes.colour)} are nearly the hair's {format_hex(of_hair.colour)}",
    )


def _cells(mask: Mask) -> tuple[tuple[int, int], ...]:
    return tuple((int(row), int(column)) for row, column in np.argwhere(mask))
