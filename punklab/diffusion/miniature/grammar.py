"""Exact captions for drawn punks, in the lab's two grammars: with colour codes (and their long tail) and without."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from punklab.diffusion.miniature import shapes
from punklab.diffusion.miniature.artist import Punk
from punklab.diffusion.miniature.palette import Rgb, code, name_of
from punklab.diffusion.miniature.traits import Item, Traits

TRIGGER = ("pixel art", "24x24")
TAIL = ("sharp pixel edges", "hard color borders", "retro pixel art style")

_HAIR: Mapping[str, tuple[str, ...]] = {
    "short": ("short {} hair", "{} short hair", "short straight {} hair"),
    "slicked back": ("{} slicked back hair", "{} hair slicked back"),
    "buzzed": ("{} buzzed hair", "buzzed {} hair"),
    "spiky": ("{} spiky hair", "messy spiky {} hair"),
    "mohawk": ("{} mohawk", "{} mohawk hair"),
    "afro": ("{} afro hair", "{} afro"),
    "long": ("long {} hair", "long wavy {} hair", "{} long hair", "long straight {} hair"),
    "long with bangs": ("long {} hair with bangs", "{} long hair with bangs"),
    "curly": ("curly {} hair", "{} curly hair", "long curly {} hair"),
    "bob": ("{} bob hair", "{} hair in a bob", "short {} bob hair"),
    "ponytail": ("{} hair in a ponytail", "{} ponytail hair"),
    "bun": ("{} hair in a bun", "{} hair in an updo bun"),
    "space buns": ("{} hair in space buns", "{} space buns hair"),
    "braids": ("{} hair in braids", "{} braids hair"),
    "dreadlocks": ("{} dreadlocks hair", "{} hair in dreadlocks"),
}
_PLAIN_HAIR = {"lad": "short", "lady": "long"}
_HEADWEAR: Mapping[str, tuple[str, ...]] = {
    "crown": ("crown", "golden crown", "golden crown with {second} gems"),
    "tiara": ("tiara", "pearl diamond tiara crown"),
    "cap": ("{main} cap", "{main} baseball cap"),
    "backwards cap": ("{main} backwards cap", "{main} cap worn backwards"),
    "beanie": ("{main} beanie",),
    "top hat": ("{main} top hat with {second} ribbon", "{main} top hat"),
    "cowboy hat": ("{main} cowboy hat",),
    "fedora": ("{main} fedora hat", "{main} fedora"),
    "bucket hat": ("{main} bucket hat",),
    "wizard hat": ("{main} wizard hat with {second} ribbon", "{main} wizard hat"),
    "beret": ("{main} beret",),
    "bow": ("{main} bow in hair", "{main} bow in hair with white center"),
    "flower": ("{main} flower in hair",),
    "headband": ("{main} headband",),
    "bandana": ("{main} polka dot bandana headband", "{main} bandana"),
    "cat ears": ("{main} cat ears headband", "{main} cat ears"),
    "halo": ("golden halo", "halo"),
    "hood": ("{main} hood", "{main} hoodie with hood up"),
}
_EYEWEAR: Mapping[str, tuple[str, ...]] = {
    "glasses": ("{main} glasses", "{main} rimmed glasses"),
    "sunglasses": ("{main} sunglasses", "{main} shades"),
    "stunner shades": ("{main} stunner shades with white reflection", "{main} stunner shades with white reflections"),
    "party glasses": ("{main} party glasses", "dual colored {main} and {second} party glasses"),
    "goggles": ("{main} goggle glasses", "translucent {main} mog style goggle glasses"),
    "3d glasses": ("3d glasses",),
    "eye patch": ("eye patch", "black eye patch"),
}
_FACIAL_HAIR: Mapping[str, tuple[str, ...]] = {
    "stubble": ("stubble", "wearing stubble"),
    "beard": ("full beard", "beard"),
    "moustache": ("mustache", "moustache"),
    "goatee": ("goatee",),
}
_CLOTHES: Mapping[str, tuple[str, ...]] = {
    "shirt": ("{main} shirt",),
    "collared shirt": ("{main} collared shirt",),
    "suit": ("{main} suit with {second} tie", "classic {main} suit with {second} tie"),
    "hoodie": ("{main} hoodie",),
    "jacket": ("{main} jacket with white shirt underneath", "{main} jacket"),
    "sweater": ("{main} sweater",),
    "low cut shirt": ("{main} low cut shirt",),
}
_NATURE = ("", "", "", " with highlights", " with natural texture", " with volume", " with natural shine")


@dataclass(frozen=True)
class Wording:
    """How a caption is told: shares from 0 to 1, and which codes it carries."""

    codes: float = 1.0
    item_codes: float = 0.0
    names: float = 1.0
    drop: float = 0.0
    tail_codes: int = 0
    shuffle: bool = False
    fillers: int = 0
    plain: bool = False


# The lab's test prompts; what a visitor picks; its captions without codes; its captions with codes and tail.
PROMPT = Wording(plain=True)
WORDS = Wording(codes=0.0)
FULL = Wording(item_codes=1.0, tail_codes=8)


def random_wording(rng: random.Random) -> Wording:
    """One of the ways the miniature is taught in; nearly half need more than one window of 75 tokens."""
    chance = rng.random()
    told_without_codes, told_in_full = chance < 0.27, chance > 0.7
    return Wording(
        codes=0.0 if told_without_codes else rng.choice((1.0, 1.0, 1.0, 0.6)),
        item_codes=0.8 if told_in_full else 0.0,
        names=0.97 if told_without_codes else 0.85,
        drop=rng.choice((0.0, 0.0, 0.0, 0.2)),
        tail_codes=rng.randrange(3, 15) if told_in_full else 0,
        shuffle=rng.random() < 0.25,
        fillers=rng.randrange(1, 5) if rng.random() < (0.4 if told_in_full else 0.08) else 0,
        plain=rng.random() < (0.2 if told_in_full else 0.5),
    )


def caption(punk: Punk, wording: Wording = PROMPT, rng: random.Random | None = None) -> str:
    """The caption of a punk. Without `rng` the plainest phrase of each kind, so that it is always the same."""
    teller = _Teller(punk.traits, wording, rng)
    head = [*TRIGGER, f"portrait of bespoke punk {punk.traits.sex}"]
    body = [clause for clause in teller.clauses() if clause]
    if wording.tail_codes:
        body += _tail(punk, wording.tail_codes)
    if rng:
        for _ in range(wording.fillers):
            body.insert(rng.randrange(len(body) + 1), _filler(rng))
    if wording.shuffle and rng:
        rng.shuffle(body)
    return ", ".join([*head, *body])


def _filler(rng: random.Random) -> str:
    """Words of the lab's captions that mean nothing to the artist: the miniature learns to look past them."""
    return " ".join(rng.choices(words(), k=rng.randrange(2, 9)))


def _tail(punk: Punk, count: int) -> list[str]:
    colours, shares = np.unique(punk.cells.reshape(-1, 3), axis=0, return_counts=True)
    codes = [code((int(c[0]), int(c[1]), int(c[2]))) for c in colours[np.argsort(-shares, kind="stable")]]
    first, rest = codes[: (count + 1) // 2], codes[(count + 1) // 2 : count]
    return [f"palette: {first[0]}", *first[1:], *TAIL, *rest]


class _Teller:
    def __init__(self, traits: Traits, wording: Wording, rng: random.Random | None) -> None:
        self.traits, self.wording, self.rng = traits, wording, rng

    def clauses(self) -> list[str]:
        traits = self.traits
        optional = [
            self.item(traits.headwear, _HEADWEAR),
            self.item(traits.eyewear, _EYEWEAR),
            self.choose(_FACIAL_HAIR.get(traits.facial_hair, ("",))),
            traits.earrings,
            traits.necklace,
            traits.smoking,
            f"{name_of(traits.wings)} wings" if traits.wings else "",
        ]
        hidden = traits.eyewear is not None and traits.eyewear.kind in shapes.HIDES_EYES
        features = [
            "" if hidden else self.feature("eyes", traits.eyes, "eyes"),
            self.feature("lips", traits.lips, "lips"),
            traits.expression,
            self.skin(),
            self.background(),
        ]
        clothes = "" if self.wording.plain else self.item(traits.clothes, _CLOTHES)
        body = [self.hair(), *map(self.worn, optional), *features, clothes]
        return [clause for clause in body if self.chance(1 - self.wording.drop, True)]

    def hair(self) -> str:
        traits = self.traits
        if traits.hair_style == "bald":
            return "bald"
        name = name_of(traits.hair, "hair")
        plain = traits.hair_style == _PLAIN_HAIR[traits.sex] and self.chance(0.6, True)
        phrase = "{} hair" if plain else self.choose(_HAIR[traits.hair_style])
        phrase = phrase.format(self.spell(name)) if self.chance(self.wording.names, True) else phrase.replace("{} ", "")
        nature = "" if self.wording.plain else self.choose(_NATURE)
        return phrase + nature + self.code(traits.hair, self.wording.codes)

    def feature(self, noun: str, colour: Rgb, kind: str) -> str:
        named = not self.wording.plain if self.wording.codes else True
        name = f"{self.spell(name_of(colour, kind))} " if named and self.chance(self.wording.names, True) else ""
        return f"{name}{noun}{self.code(colour, self.wording.codes)}"

    def skin(self) -> str:
        named = self.feature("skin", self.traits.skin, "skin")
        if self.wording.plain or named.startswith("skin"):
            return named
        return named.replace(" skin", self.choose((" skin", " skin", " skin tone", " colored skin")))

    def background(self) -> str:
        traits = self.traits
        name = self.spell(name_of(traits.background))
        if self.wording.codes and not self.chance(self.wording.names, True):
            name = ""
        first, second = (traits.backdrop, name) if traits.backdrop == "solid" else (name, traits.backdrop)
        if traits.backdrop == "solid" and self.chance(0.15, False):
            first = ""
        noun = " ".join(part for part in (first, second, "background") if part)
        return noun + self.code(traits.background, self.wording.codes)

    def item(self, item: Item | None, phrases: Mapping[str, tuple[str, ...]]) -> str:
        if item is None:
            return ""
        phrase = self.choose(phrases[item.kind])
        told = phrase.format(main=self.spell(name_of(item.colour)), second=self.spell(name_of(item.second)))
        return told + (self.code(item.colour, self.wording.item_codes) if "{main}" in phrase else "")

    def worn(self, clause: str) -> str:
        return (
            f"wearing {clause}"
            if clause and not clause.startswith(("wearing", "smoking")) and self.chance(0.25, False)
            else clause
        )

    def code(self, colour: Rgb, share: float) -> str:
        return f" ({code(colour)})" if share and self.chance(share, share >= 1) else ""

    def spell(self, name: str) -> str:
        return name.replace("grey", "gray") if self.chance(0.25, False) else name

    def choose(self, phrases: tuple[str, ...]) -> str:
        return self.rng.choice(phrases) if self.rng else phrases[0]

    def chance(self, share: float, without_rng: bool) -> bool:
        return self.rng.random() < share if self.rng else without_rng


@lru_cache
def words() -> tuple[str, ...]:
    """The words that the vocabulary keeps whole: those of the lab's captions, in alphabetical order."""
    text = resources.files("punklab.diffusion.miniature").joinpath("words.txt").read_text(encoding="ascii")
    return tuple(text.split())


def phrases() -> list[str]:
    """Every phrase the captions can hold, with empty places for colours."""
    tables = (_HAIR, _HEADWEAR, _EYEWEAR, _FACIAL_HAIR, _CLOTHES)
    extra = ["bald wearing solid background skin tone colored eyes lips wings", *_NATURE]
    return [re.sub(r"\{\w*\}", "", text) for table in tables for texts in table.values() for text in texts] + extra
