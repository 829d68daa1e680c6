"""What a punk can look like: its traits, and random ones, each frequent enough to be learnt."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from punklab.diffusion.miniature import palette, shapes
from punklab.diffusion.miniature.palette import Rgb

BACKDROPS = ("solid", "split", "gradient", "checkered brick", "pinstripe")
GOLD, SILVER, DIAMOND, PEARL = (230, 190, 50), (200, 205, 215), (170, 235, 255), (250, 250, 250)


@dataclass(frozen=True)
class Item:
    """Something worn: what it is, its main colour, and a second one where it has two (a ribbon, gems, a tie)."""

    kind: str
    colour: Rgb
    second: Rgb = (210, 40, 40)


@dataclass(frozen=True)
class Traits:
    """Everything a punk is drawn from."""

    sex: str
    hair_style: str
    hair: Rgb
    eyes: Rgb
    lips: Rgb
    skin: Rgb
    background: Rgb
    expression: str
    clothes: Item
    backdrop: str = "solid"
    headwear: Item | None = None
    eyewear: Item | None = None
    facial_hair: str = ""
    earrings: str = ""
    necklace: str = ""
    smoking: str = ""
    wings: Rgb | None = None


def random_traits(rng: random.Random) -> Traits:
    """Random traits, each frequent enough to be learnt; hair keeps clear of the background, lips of the skin."""
    sex = rng.choice(("lady", "lad"))
    background = _colour(rng, "general", uniform=0.3)
    skin = _colour(rng, "skin", palette.HUMAN_SKIN, natural=0.6, uniform=0.07)
    hair = _apart_from(background, rng, lambda: _colour(rng, "hair", palette.NATURAL_HAIR, natural=0.3, uniform=0.25))
    lips = _apart_from(skin, rng, lambda: _colour(rng, "lips", palette.NATURAL_LIPS, natural=0.55, uniform=0.1))
    headwear = _headwear_of(rng) if rng.random() < 0.5 else None
    return Traits(
        sex=sex,
        hair_style=_hair_style(rng, sex),
        hair=hair,
        eyes=_colour(rng, "eyes", uniform=0.15),
        lips=lips,
        skin=skin,
        background=background,
        expression=rng.choice(("slight smile", "neutral expression")),
        clothes=_clothes(rng),
        backdrop="solid" if rng.random() < 0.86 else rng.choice(BACKDROPS[1:]),
        headwear=headwear,
        eyewear=_eyewear_of(rng) if rng.random() < 0.4 else None,
        facial_hair=rng.choice(list(shapes.FACIAL_HAIR)) if sex == "lad" and rng.random() < 0.4 else "",
        earrings=rng.choice(list(shapes.EARRINGS)) if rng.random() < (0.4 if sex == "lady" else 0.2) else "",
        necklace=rng.choice(list(shapes.NECKLACES)) if rng.random() < 0.2 else "",
        smoking=rng.choice(list(shapes.SMOKING)) if rng.random() < 0.1 else "",
        wings=_colour(rng, "general", uniform=0.2) if rng.random() < 0.05 else None,
    )


def _colour(
    rng: random.Random, kind: str, only: tuple[str, ...] = (), natural: float = 0.0, uniform: float = 0.0
) -> Rgb:
    chance = rng.random()
    if chance < uniform:
        return palette.any_colour(rng)
    return palette.pick(kind, rng, only if chance < uniform + natural else ())


def _apart_from(other: Rgb, rng: random.Random, draw_one: Callable[[], Rgb]) -> Rgb:
    for _ in range(6):
        colour = draw_one()
        if palette.difference(colour, other) > 14:
            break
    return colour


_LAD_HAIR = (
    "short",
    "short",
    "short",
    "slicked back",
    "buzzed",
    "spiky",
    "mohawk",
    "afro",
    "long",
    "curly",
    "bald",
    "dreadlocks",
    "ponytail",
)
_LADY_HAIR = (
    "long", "long", "long", "long with bangs", "curly", "bob", "ponytail", "bun", "space buns", "braids", "afro", "short", "mohawk", "dreadlocks",
)  # fmt: skip


def _hair_style(rng: random.Random, sex: str) -> str:
    if sex == "lady":
        return rng.choice(_LADY_HAIR) if rng.random() > 0.02 else "bald"
    return rng.choice(_LAD_HAIR)


def _headwear_of(rng: random.Random) -> Item:
    kind = rng.choice([*shapes.HEADWEAR, "crown", "cap", "hood", "headband", "bow"])
    second = palette.pick("general", rng)
    if kind == "crown":
        return Item(kind, palette.near((235, 195, 50), "general", rng, 6), second)
    if kind in ("tiara", "halo"):
        return Item(kind, SILVER if kind == "tiara" else (255, 215, 60), second if kind == "tiara" else GOLD)
    return Item(kind, _colour(rng, "general", uniform=0.1), second)


def _eyewear_of(rng: random.Random) -> Item:
    kind = rng.choice([*shapes.EYEWEAR, "glasses", "sunglasses", "stunner shades"])
    if kind == "stunner shades" or (kind == "sunglasses" and rng.random() < 0.5):
        return Item(kind, (18, 18, 22))
    if kind in ("3d glasses", "eye patch"):
        return Item(kind, (250, 250, 250) if kind == "3d glasses" else (15, 15, 18))
    return Item(kind, palette.pick("general", rng), palette.pick("general", rng))


def _clothes(rng: random.Random) -> Item:
    kind = rng.choice([*shapes.CLOTHES, "shirt", "suit"])
    colour = palette.pick("general", rng, ("black", "dark grey", "dark blue", "grey") if kind == "suit" else ())
    return Item(kind, colour, palette.pick("general", rng))
