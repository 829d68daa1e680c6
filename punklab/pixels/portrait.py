"""The parts of a punk: which cells are background, hair, skin, eyes, lips and what is worn.

All punks share one template: the face looks a little to its right, pupils, nose and jaw lie on the same cells. So where
a part lies in other portraits says a lot (the prior), and what colour it has in this one says the rest: a mixture of
parts, each with its own share of the picture's colours, fitted by expectation and maximisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.palette import Palette, merged_palette

SIDE = 24
PARTS = (
    "background",
    "hair",
    "skin",
    "eyes",
    "lips",
    "outline",
    "clothes",
    "facial_hair",
    "eyewear",
    "headwear",
    "jewellery",
    "other",
)
# What may be worn and the part it is seen as: a hat covers the hair, a headband lies across it, an ornament on it.
WORN = {
    "facial_hair": "facial_hair",
    "eyewear": "eyewear",
    "ornament": "headwear",
    "headband": "headwear",
    "hat": "headwear",
    "earrings": "jewellery",
}
INDEX = {part: index for index, part in enumerate(PARTS)}

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# DIN99o. Neighbours nearer than a step run into each other (a gradient is one background), and what is further from
# every colour of the border than the reach is no background.
_STEP, _REACH, _SAME = 7.0, 12.0, 2.5
# The border that is background in nearly all portraits: the sides down to where long hair and shoulders begin, and the
# top row but for its middle, which a high hat or bun may reach.
_BORDER = np.zeros((SIDE, SIDE), dtype=bool)
_BORDER[:18, [0, -1]] = True
_BORDER[0, :7] = _BORDER[0, 17:] = True
_MIDDLE = (range(7, 17), range(16, 6, -1))
_FEWEST_ON_BORDER = 2
_FLOODED, _ENCLOSED, _UNLIKE = 0.985, 0.1, 0.02
# Shades this far apart (DIN99o) still speak for one part: hair is drawn in strands.
_STRANDS = 6.0
_ROUNDS = 3
_STRAY_SHARE = 0.05


@dataclass(frozen=True)
class Scene:
    """A picture made ready to be taken apart, as often as one likes.

    `flooded` (24, 24) is what is joined to the border; `like_border` (24, 24) how well the colour of another cell would
    pass for background, 0 to 1; `apart` (n, n) are the distances of the palette's colours, DIN99o; `spread` (576, n)
    says which colour each cell has, and a little of its kin.
    """

    cells: NDArray[np.uint8]
    palette: Palette
    flooded: Mask
    like_border: NDArray[np.float32]
    apart: Floats
    spread: NDArray[np.float32]


@dataclass(frozen=True)
class Portrait:
    """A portrait taken apart. `labels` (24, 24) index `PARTS`; `certainty` (24, 24), 0 to 1, of each label."""

    scene: Scene
    labels: NDArray[np.intp]
    certainty: NDArray[np.float32]
    likelihood: float

    def mask(self, part: str) -> Mask:
        """The cells of a part, (24, 24); all False when it is not there."""
        mask: Mask = self.labels == INDEX[part]
        return mask


def scene_of(cells: NDArray[np.uint8], palette: Palette | None = None) -> Scene:
    """A picture of 24x24 cells, (24, 24, 3) uint8, with its palette where that is known already."""
    palette = palette or merged_palette(cells)
    which = palette.which
    offsets = palette.points[:, None] - palette.points
    apart: Floats = np.sqrt((offsets**2).sum(axis=-1))
    border = _with_middle(which[0], apart)
    on_border = np.bincount(which[border], minlength=len(apart))
    likes = (apart < _STEP) @ on_border
    frequent = (on_border > 0) & (likes >= min(_FEWEST_ON_BORDER, int(likes[on_border > 0].max())))
    distance = apart[:, frequent].min(axis=1)
    stepping = (apart < _STEP) | ((distance < _SAME) & (distance[:, None] < _SAME))
    stepping &= (distance < _REACH) & (distance[:, None] < _REACH)
    flooded = _flood(
        border & (distance < _REACH)[which],
        stepping[which[1:], which[:-1]],
        stepping[which[:, 1:], which[:, :-1]],
    )
    kin = np.exp(-(apart**2) / (2 * _STRANDS**2)).astype(np.float32)
    spread = (kin / kin.sum(axis=1, keepdims=True))[which.ravel()]
    return Scene(
        cells, palette, flooded, np.where(distance < _STEP, _ENCLOSED, _UNLIKE).astype(np.float32)[which], apart, spread
    )


def _with_middle(top: NDArray[np.intp], apart: Floats) -> Mask:
    """The border with what belongs to it of the top row's middle: step by step from both sides, while colours run on."""
    border = _BORDER.copy()
    seen = set(top[_BORDER[0]].tolist())
    for columns in _MIDDLE:
        before = top[columns[0] - (1 if columns[0] < SIDE // 2 else -1)]
        for column in columns:
            if top[column] not in seen and apart[top[column], before] >= _REACH:
                break
            border[0, column] = True
            seen.add(int(top[column]))
            before = top[column]
    return border


def readings(scene: Scene, where: Floats) -> list[Portrait]:
    """The parts of a portrait, read with each of several priors: `where` (n, 12, 24, 24) says how likely each part is on
    each cell."""
    prior = _with_background(scene, where).reshape(len(where), len(PARTS), -1).astype(np.float32)
    which, n_colours = scene.palette.which.ravel(), len(scene.apart)
    shares = prior
    for _ in range(_ROUNDS):
        colours = shares @ scene.spread + 1e-3
        colours = colours / colours.sum(axis=-1, keepdims=True) + _STRAY_SHARE / n_colours
        joint = prior * colours.take(which, axis=-1)
        evidence = joint.sum(axis=1)
        shares = joint / evidence[:, None]
    labels, certainty = shares.argmax(axis=1), shares.max(axis=1)
    likelihood = np.log(evidence, dtype=float).sum(axis=-1)
    return [
        Portrait(scene, each.reshape(SIDE, SIDE), sure.reshape(SIDE, SIDE), float(likely))
        for each, sure, likely in zip(labels, certainty, likelihood, strict=True)
    ]


def _with_background(scene: Scene, where: Floats) -> Floats:
    background = np.where(scene.flooded, np.float32(_FLOODED), where[:, 0] * scene.like_border)
    prior: Floats = where * ((1 - background) / (1 - where[:, 0]))[:, None]
    prior[:, 0] = background
    return prior


def _flood(seeds: Mask, down: Mask, right: Mask) -> Mask:
    """What is reached from the seeds over open sides: `down` (23, 24) to the cell below, `right` (24, 23) to the next.

    The cells are the bits of one number, on which a step in each direction is a shift.
    """
    reached = _bits(seeds)
    below = _bits(np.concatenate([down, np.zeros((1, SIDE), dtype=bool)]))
    beside = _bits(np.concatenate([right, np.zeros((SIDE, 1), dtype=bool)], axis=1))
    before = 0
    while reached != before:
        before = reached
        reached |= (reached & below) << SIDE | (reached >> SIDE) & below
        reached |= (reached & beside) << 1 | (reached >> 1) & beside
    flooded = np.frombuffer(reached.to_bytes(SIDE * SIDE // 8, "little"), dtype=np.uint8)
    return np.unpackbits(flooded, bitorder="little").reshape(SIDE, SIDE).astype(bool)


def _bits(mask: Mask) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
