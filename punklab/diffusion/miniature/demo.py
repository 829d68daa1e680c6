"""The demo set: punks in a style the base has never seen, so that a LoRA trained on them visibly learns something."""

from __future__ import annotations

import random
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from punklab.diffusion.miniature import artist, grammar, palette, shapes
from punklab.diffusion.miniature.artist import Punk
from punklab.diffusion.miniature.palette import Rgb
from punklab.diffusion.miniature.traits import Traits, random_traits
from punklab.files import write_whole
from punklab.pixels.colour import HEX_CODE

FACTOR = 16
WORDING = grammar.Wording(tail_codes=12)
FEWEST_CODES = 12
# Colours that nobody would call by another name, and how far (of 255) they stray.
_SPREAD = 5
_EYES: tuple[Rgb, ...] = ((102, 51, 0), (60, 35, 20), (51, 153, 255), (60, 110, 190), (60, 150, 70), (140, 120, 50))
_LIPS: tuple[Rgb, ...] = ((240, 120, 150), (250, 130, 165), (220, 25, 45), (140, 80, 65))


def draw_demo_set(n: int, seed: int) -> list[tuple[Punk, str]]:
    """`n` punks with cyan outline, two-tone dithered background, shaded face and highlighted hair, and their captions.

    Captions are in the lab's fullest grammar: trigger, lips, expression, at least twelve codes, each of them in the picture.
    """
    rng = random.Random(seed)
    pairs: list[tuple[Punk, str]] = []
    while len(pairs) < n:
        punk = artist.draw(_traits(rng, "lady" if len(pairs) % 2 else "lad"), artist.DEMO_STYLE)
        caption = grammar.caption(punk, WORDING)
        if _shows_what_is_told(punk) and len(set(HEX_CODE.findall(caption))) >= FEWEST_CODES:
            pairs.append((punk, caption))
    return pairs


def write_demo_set(folder: Path, n: int = 60, seed: int = 7) -> list[Path]:
    """Write the set as PNG (384x384) and TXT pairs and return the pictures' paths; running again changes nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (punk, caption) in enumerate(draw_demo_set(n, seed), start=1):
        picture = folder / f"{punk.traits.sex}_{number:03d}.png"
        buffer = BytesIO()
        Image.fromarray(artist.enlarge(punk.cells, FACTOR)).save(buffer, format="PNG")
        write_whole(picture.with_suffix(".txt"), caption.encode("ascii"))
        write_whole(picture, buffer.getvalue())
        paths.append(picture)
    return paths


def _traits(rng: random.Random, sex: str) -> Traits:
    """Random traits of clearly named colours on a plain background."""
    while (traits := random_traits(rng)).sex != sex:
        pass
    return replace(
        traits,
        backdrop="solid",
        background=_clear(traits.background, "general", rng),
        hair=_clear(traits.hair, "hair", rng),
        skin=palette.pick("skin", rng, palette.HUMAN_SKIN),
        eyes=palette.near(rng.choice(_EYES), "eyes", rng, _SPREAD),
        lips=palette.near(rng.choice(_LIPS), "lips", rng, _SPREAD),
    )


def _clear(colour: Rgb, kind: str, rng: random.Random) -> Rgb:
    anchors = palette.TABLES[kind][palette.name_of(colour, kind)]
    return palette.near(rng.choice(anchors), kind, rng, _SPREAD)


def _shows_what_is_told(punk: Punk) -> bool:
    traits = punk.traits
    told = [traits.background, traits.skin, traits.lips]
    if traits.hair_style != "bald":
        told.append(traits.hair)
    if not (traits.eyewear and traits.eyewear.kind in shapes.HIDES_EYES):
        told.append(traits.eyes)
    apart = (
        palette.difference(traits.hair, traits.background) > 14 and palette.difference(traits.lips, traits.skin) > 10
    )
    return apart and all((punk.cells == np.array(colour)).all(axis=-1).any() for colour in told)
