"""The procedural artist: punks of 24x24 cells whose every part, place and colour is known exactly.

It draws what the miniature learns from, the demo set, and what tests hold measures against. numpy and the standard
library only; the same seed gives the same punks.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from punklab.diffusion.miniature import palette, shapes
from punklab.diffusion.miniature.palette import Rgb
from punklab.diffusion.miniature.shapes import Mask
from punklab.diffusion.miniature.traits import DIAMOND, GOLD, PEARL, SILVER, Item, Traits, random_traits

PARTS = (
    "background",
    "wings",
    "hair",
    "outline",
    "skin",
    "clothes",
    "eyes",
    "pupils",
    "nose",
    "lips",
    "facial_hair",
    "eyewear",
    "headwear",
    "jewellery",
    "smoking",
)
_EARRING_COLOUR: Mapping[str, Rgb] = {
    "hoop earrings": GOLD,
    "golden earrings": GOLD,
    "stud earrings": PEARL,
    "diamond earrings": DIAMOND,
}
_NECKLACE_COLOUR: Mapping[str, Rgb] = {
    "golden yellow necklace": GOLD,
    "gold chain": GOLD,
    "silver diamond pendant necklace": SILVER,
}
_SMOKE_COLOUR: Mapping[str, Rgb] = {
    "smoking a cigarette": PEARL,
    "smoking a brown joint with orange tip and smoke": (130, 85, 50),
    "smoking a cigar": (85, 50, 30),
}
EMBER: Rgb = (255, 120, 20)
BLACK: Rgb = (0, 0, 0)


@dataclass(frozen=True)
class Style:
    """How a punk is drawn: the base's own style, or one that a LoRA has to learn."""

    outline: Rgb = BLACK
    two_tone: bool = False
    highlight: bool = False


BASE_STYLE = Style()
DEMO_STYLE = Style(outline=(0, 229, 255), two_tone=True, highlight=True)


@dataclass(frozen=True)
class Punk:
    """A drawn punk: `cells` uint8 (24, 24, 3) and, for each cell, the index in `PARTS` of the part it shows."""

    traits: Traits
    cells: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    colours: Mapping[str, Rgb] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Mask]:
        """A mask (24, 24) for every name in `PARTS`; each cell is in exactly one, absent parts are all False."""
        return {name: self.labels == index for index, name in enumerate(PARTS)}


class _Canvas:
    def __init__(self, background: Rgb) -> None:
        self.cells = np.empty((shapes.SIZE, shapes.SIZE, 3), dtype=np.uint8)
        self.cells[:] = background
        self.labels = np.zeros((shapes.SIZE, shapes.SIZE), dtype=np.uint8)

    def paint(self, mask: Mask, colour: Rgb, part: str) -> None:
        self.cells[mask] = colour
        self.labels[mask] = PARTS.index(part)

    def paint_drawing(self, art: shapes.Drawing, colour: Rgb, second: Rgb, part: str, clip: Mask | None = None) -> None:
        tones: dict[str, Rgb] = {
            "m": colour,
            "d": palette.shade(colour, 0.72),
            "l": palette.shade(colour, 1.35),
            "s": second,
            "w": (250, 250, 250),
            "k": (15, 15, 18),
            "y": (255, 215, 60),
            "r": (225, 45, 45),
            "b": (40, 90, 230),
            "p": (255, 160, 190),
        }
        for letter, mask in shapes.drawing(*art).items():
            self.paint(mask if clip is None else mask & clip, tones[letter], part)


def draw(traits: Traits, style: Style = BASE_STYLE) -> Punk:
    """The punk of `traits`, back to front; the same traits and style always give the same cells."""
    canvas = _Canvas(traits.background)
    _backdrop(canvas, traits, style)
    if traits.wings is not None:
        canvas.paint(shapes.runs(shapes.WINGS), traits.wings, "wings")
        feathers = shapes.runs(shapes.WINGS) & shapes.TEXTURES["waves"]
        canvas.paint(feathers, palette.shade(traits.wings, 0.75), "wings")
    back, front = (_shown_hair(traits, layer) for layer in shapes.HAIR[traits.hair_style])
    _hair(canvas, traits, style, back)
    head = shapes.HEAD[traits.sex]
    canvas.paint(shapes.around(head), style.outline, "outline")
    canvas.paint(shapes.runs(head), traits.skin, "skin")
    if style.highlight:
        canvas.paint(shapes.runs(head) & (np.arange(shapes.SIZE) > 13), palette.shade(traits.skin, 0.82), "skin")
    canvas.paint_drawing(shapes.CLOTHES[traits.clothes.kind], traits.clothes.colour, traits.clothes.second, "clothes")
    _face(canvas, traits)
    _hair(canvas, traits, style, front)
    _worn(canvas, traits)
    return Punk(traits, canvas.cells, canvas.labels, _colours(traits, style))


def _colours(traits: Traits, style: Style) -> dict[str, Rgb]:
    colours: dict[str, Rgb] = {
        "background": traits.background,
        "skin": traits.skin,
        "eyes": traits.eyes,
        "lips": traits.lips,
        "outline": style.outline,
        "clothes": traits.clothes.colour,
    }
    if traits.hair_style != "bald":
        colours["hair"] = traits.hair
    for part, item in (("headwear", traits.headwear), ("eyewear", traits.eyewear)):
        if item is not None:
            colours[part] = item.colour
    if traits.earrings:
        colours["jewellery"] = _EARRING_COLOUR[traits.earrings]
    elif traits.necklace:
        colours["jewellery"] = _NECKLACE_COLOUR[traits.necklace]
    return colours


_Y, _X = np.mgrid[0 : shapes.SIZE, 0 : shapes.SIZE]
_BACKDROPS: Mapping[str, tuple[tuple[Mask, float], ...]] = {
    "solid": (),
    "split": ((_X >= 13, 0.7),),
    "gradient": ((_X >= 14, 0.88), (_X >= 18, 0.76), (_X >= 21, 0.64)),
    "checkered brick": (((_X // 3 + _Y // 2) % 3 == 0, 0.82),),
    "pinstripe": ((_X % 4 == 0, 0.8),),
}


def _backdrop(canvas: _Canvas, traits: Traits, style: Style) -> None:
    for mask, factor in _BACKDROPS[traits.backdrop]:
        canvas.paint(mask, palette.shade(traits.background, factor), "background")
    if style.two_tone:
        lower = (_Y >= 15) | ((_Y >= 12) & ((_X + _Y) % 2 == 0))
        canvas.paint(lower, palette.shade(traits.background, 0.6), "background")


def _shown_hair(traits: Traits, layer: str) -> Mask:
    mask = shapes.runs(layer)
    floor = shapes.CLOSED_HATS.get(traits.headwear.kind) if traits.headwear else None
    return mask if floor is None else mask & (floor <= _Y)


def _hair(canvas: _Canvas, traits: Traits, style: Style, mask: Mask) -> None:
    canvas.paint(mask, traits.hair, "hair")
    texture = shapes.TEXTURES[shapes.HAIR_TEXTURE.get(traits.hair_style, "waves")]
    canvas.paint(mask & texture, palette.shade(traits.hair, 0.76), "hair")
    if style.highlight:
        canvas.paint(mask & ((_X - _Y) % 6 == 0) & (_Y < 12), palette.shade(traits.hair, 1.6), "hair")


def _face(canvas: _Canvas, traits: Traits) -> None:
    if traits.facial_hair:
        blend = 0.28 if traits.facial_hair == "stubble" else 0.85
        dark = palette.shade(traits.hair, 0.7)
        mixed = tuple(round(d * blend + s * (1 - blend)) for d, s in zip(dark, traits.skin, strict=True))
        mask = shapes.runs(shapes.FACIAL_HAIR[traits.facial_hair])
        canvas.paint(mask, (mixed[0], mixed[1], mixed[2]), "facial_hair")
    canvas.paint(shapes.runs(shapes.EYES), traits.eyes, "eyes")
    canvas.paint(shapes.runs(shapes.PUPILS), BLACK, "pupils")
    canvas.paint(shapes.runs(shapes.NOSE), BLACK, "nose")
    canvas.paint(shapes.runs(shapes.LIPS[traits.expression]), traits.lips, "lips")


def _worn(canvas: _Canvas, traits: Traits) -> None:
    if traits.eyewear:
        item = traits.eyewear
        canvas.paint_drawing(shapes.EYEWEAR[item.kind], item.colour, item.second, "eyewear")
    if traits.headwear:
        _headwear(canvas, traits, traits.headwear)
    if traits.earrings:
        canvas.paint(shapes.runs(shapes.EARRINGS[traits.earrings]), _EARRING_COLOUR[traits.earrings], "jewellery")
    if traits.necklace:
        art = shapes.NECKLACES[traits.necklace]
        canvas.paint_drawing(art, _NECKLACE_COLOUR[traits.necklace], DIAMOND, "jewellery")
    if traits.smoking:
        canvas.paint_drawing(shapes.SMOKING[traits.smoking], _SMOKE_COLOUR[traits.smoking], EMBER, "smoking")


def _headwear(canvas: _Canvas, traits: Traits, item: Item) -> None:
    if item.kind != "hood":
        canvas.paint_drawing(shapes.HEADWEAR[item.kind], item.colour, item.second, "headwear")
        return
    face = shapes.runs(shapes.HEAD[traits.sex]) & (_Y >= 7)
    cloth = shapes.runs(shapes.HOOD) & ~face & (canvas.labels != PARTS.index("clothes"))
    canvas.paint(cloth, item.colour, "headwear")
    canvas.paint(cloth & shapes.around(shapes.HEAD[traits.sex]), palette.shade(item.colour, 0.6), "headwear")


def enlarge(cells: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The cells enlarged by a whole factor, each cell a square of one colour."""
    enlarged: NDArray[np.uint8] = cells.repeat(factor, axis=0).repeat(factor, axis=1)
    return enlarged


def punk(rng: random.Random) -> Punk:
    """A random punk in the base's style."""
    return draw(random_traits(rng))
