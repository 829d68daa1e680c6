"""The artist's colours: every name with the colours it stands for, so that word and code always agree."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import to_lab

Rgb = tuple[int, int, int]
Names = Mapping[str, Sequence[Rgb]]

GENERAL: Names = {
    "red": [(255, 51, 51), (210, 40, 40), (230, 20, 30)],
    "dark red": [(140, 20, 25)],
    "orange": [(255, 153, 0), (240, 120, 30)],
    "yellow": [(255, 204, 0), (250, 235, 60), (255, 255, 0)],
    "green": [(0, 255, 0), (51, 204, 51), (40, 165, 70)],
    "bright green": [(60, 250, 155), (105, 230, 70)],
    "dark green": [(20, 90, 40)],
    "light green": [(150, 235, 150)],
    "lime green": [(170, 240, 40)],
    "pale green": [(205, 238, 205)],
    "teal": [(30, 150, 150)],
    "dark teal": [(15, 90, 95)],
    "cyan": [(60, 225, 235)],
    "sky blue": [(125, 195, 235)],
    "light blue": [(175, 205, 250)],
    "blue": [(0, 102, 255), (40, 80, 220), (51, 153, 255)],
    "dark blue": [(20, 30, 110)],
    "periwinkle": [(140, 150, 235)],
    "purple": [(153, 102, 255), (130, 60, 190), (110, 40, 150)],
    "dark purple": [(65, 25, 85)],
    "lavender": [(200, 175, 245)],
    "magenta": [(225, 20, 180)],
    "hot pink": [(255, 50, 150)],
    "pink": [(255, 102, 204), (255, 153, 204)],
    "light pink": [(255, 205, 220)],
    "salmon": [(250, 140, 120)],
    "peach": [(255, 200, 160)],
    "maroon": [(110, 20, 45)],
    "brown": [(102, 51, 0), (130, 80, 45)],
    "light brown": [(175, 125, 80)],
    "dark brown": [(60, 35, 20)],
    "tan": [(210, 175, 130)],
    "beige": [(235, 220, 190)],
    "cream": [(255, 250, 220)],
    "golden": [(220, 175, 50)],
    "olive": [(115, 115, 40)],
    "white": [(250, 250, 250)],
    "black": [(18, 18, 22)],
    "grey": [(135, 135, 140)],
    "light grey": [(200, 200, 205)],
    "dark grey": [(75, 75, 80)],
}
_NOT_HAIR = ("tan", "beige", "cream", "peach", "olive", "golden", "salmon", "yellow", "light brown")
HAIR: Names = {
    **{name: anchors for name, anchors in GENERAL.items() if name not in _NOT_HAIR},
    "yellow": [(250, 235, 60), (255, 255, 0)],
    "light brown": [(160, 110, 65)],
    "blonde": [(255, 204, 102), (240, 210, 130)],
    "golden blonde": [(235, 180, 70)],
    "dirty blonde": [(190, 155, 100)],
    "platinum blonde": [(245, 235, 205)],
    "auburn": [(135, 55, 30)],
    "ginger": [(205, 95, 40)],
}
NATURAL_HAIR = (
    "black",
    "dark brown",
    "brown",
    "light brown",
    "blonde",
    "golden blonde",
    "dirty blonde",
    "auburn",
    "grey",
)
SKIN: Names = {
    "pale": [(255, 225, 205)],
    "light": [(240, 192, 144), (235, 185, 160), (255, 204, 170)],
    "medium": [(208, 160, 112), (200, 150, 115)],
    "tan": [(190, 130, 85)],
    "olive": [(185, 160, 105)],
    "brown": [(150, 95, 60)],
    "dark": [(105, 65, 45), (75, 45, 35)],
    "green": [(150, 195, 140), (100, 180, 90)],
    "grey": [(170, 170, 175), (120, 120, 125)],
    "blue": [(150, 185, 225)],
    "purple": [(165, 130, 190)],
    "red": [(200, 70, 60)],
}
HUMAN_SKIN = ("pale", "light", "medium", "tan", "olive", "brown", "dark")
EYES: Names = {
    "brown": [(102, 51, 0), (110, 70, 40)],
    "dark brown": [(60, 35, 20)],
    "light brown": [(160, 105, 60)],
    "blue": [(51, 153, 255), (60, 110, 190)],
    "light blue": [(150, 200, 245)],
    "green": [(60, 150, 70), (90, 190, 90)],
    "light green": [(150, 215, 140)],
    "hazel": [(140, 120, 50)],
    "grey": [(125, 130, 135)],
    "red": [(205, 30, 30)],
    "purple": [(130, 60, 190)],
    "pink": [(245, 120, 190)],
    "orange": [(235, 140, 30)],
    "yellow": [(245, 225, 60)],
    "black": [(22, 18, 20)],
    "white": [(245, 245, 245)],
}
LIPS: Names = {
    "pink": [(240, 120, 150), (255, 102, 102), (204, 102, 102), (204, 153, 153)],
    "red": [(220, 25, 45)],
    "dark red": [(140, 25, 40)],
    "brown": [(140, 80, 65)],
    "purple": [(130, 50, 150)],
    "orange": [(235, 110, 50)],
    "black": [(25, 20, 25)],
    "blue": [(60, 100, 210)],
    "green": [(60, 150, 70)],
    "grey": [(125, 120, 125)],
    "white": [(240, 235, 235)],
    "yellow": [(235, 215, 70)],
}
NATURAL_LIPS = ("pink",)


@dataclass(frozen=True)
class _Table:
    names: tuple[str, ...]
    lab: NDArray[np.float64]


@lru_cache
def _table(kind: str) -> _Table:
    pairs = [(name, anchor) for name, anchors in TABLES[kind].items() for anchor in anchors]
    return _Table(tuple(name for name, _ in pairs), to_lab(np.array([anchor for _, anchor in pairs])))


TABLES: Mapping[str, Names] = {"general": GENERAL, "hair": HAIR, "skin": SKIN, "eyes": EYES, "lips": LIPS}


@lru_cache(maxsize=1 << 16)
def name_of(colour: Rgb, kind: str = "general") -> str:
    """The word for a colour: that of the nearest anchor in CIELAB. `kind` is a key of `TABLES`."""
    table = _table(kind)
    return table.names[int(((table.lab - to_lab(colour)) ** 2).sum(axis=1).argmin())]


def difference(first: Rgb, second: Rgb) -> float:
    """Distance of two colours in CIELAB (CIE76): about 2 is just visible, 10 is another shade."""
    return float(np.linalg.norm(to_lab(first) - to_lab(second)))


def near(anchor: Rgb, kind: str, rng: random.Random, spread: float = 12.0) -> Rgb:
    """A colour near `anchor` that still bears its name; the anchor itself when five tries leave the name."""
    name = name_of(anchor, kind)
    for _ in range(5):
        colour = tuple(min(255, max(0, round(rng.gauss(channel, spread)))) for channel in anchor)
        if name_of((colour[0], colour[1], colour[2]), kind) == name:
            return colour[0], colour[1], colour[2]
    return anchor


def any_colour(rng: random.Random) -> Rgb:
    """Any of the 16.7 million colours."""
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def pick(kind: str, rng: random.Random, only: Sequence[str] = ()) -> Rgb:
    """A colour of a random name of `kind` (of `only`, where given)."""
    return near(rng.choice(TABLES[kind][rng.choice(only or list(TABLES[kind]))]), kind, rng)


def shade(colour: Rgb, factor: float) -> Rgb:
    """The colour made darker (factor below 1) or lighter (above 1); black is lifted a little instead of darkened."""
    if factor < 1 and sum(colour) < 90:
        return min(255, colour[0] + 24), min(255, colour[1] + 24), min(255, colour[2] + 26)
    if factor > 1:
        lift = factor - 1
        return tuple(round(channel + (255 - channel) * lift) for channel in colour)  # type: ignore[return-value]
    return tuple(round(channel * factor) for channel in colour)  # type: ignore[return-value]


def code(colour: Rgb) -> str:
    """`#rrggbb`, lower case."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
