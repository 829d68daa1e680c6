"""Whether the parts of a portrait have the colours, and it wears the things, that a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.asked import Accessory, Asked, accessories, asked, asks_bald
from punklab.pixels.colour import ciede2000, format_hex, parse_hex, to_din99o, to_lab
from punklab.pixels.naming import Vocabulary
from punklab.pixels.palette import NEAR
from punklab.pixels.parts import ONE_COLOUR, hair_of, main_colour, main_colours, two_toned
from punklab.pixels.portrait import WORN, Portrait
from punklab.pixels.prior import Reading

Mask = NDArray[np.bool_]
_Name = str | Accessory

_HAIR = 13.0  # DIN99o: shades of one head of hair
_FEWEST_HAIR = 3
_FEW = 2  # cells that may be anything
_SOLID_SHARE = 0.9
_MAJORITY = 2 / 3
_NOT_ALL = 0.4  # how sure a background matches that only in part does
_SURE, _UNSURE = 0.65, 0.35
_SHOWS = 12.0  # DIN99o by which eyes stand out from a frame
_GLINT, _GREY = 35.0, 8.0  # CIELAB lightness and chroma: light and grey behind lenses is their gleam
# The part that each kind of accessory is seen as.
_SEEN_AS = {**WORN, "necklace": "jewellery", "clothes": "clothes"}


@dataclass(frozen=True, kw_only=True)
class ColourCheck:
    """One part's colour as seen against the one asked for.

    `asked` is None or {"word", "hex"}, `observed` {"word", "hex"}, each None when there is none; `delta_e` is CIEDE2000 to
    the code. `matches` is None when nothing was asked or it cannot be judged, and then `reason` says why; `confidence`,
    0.5 to 1, is how sure the answer is, 0 without one.
    """

    asked: Mapping[str, str | None] | None
    observed: Mapping[str, str | None]
    delta_e: float | None
    matches: bool | None
    confidence: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The same as plain dictionaries."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class BackgroundCheck(ColourCheck):
    """`solid` is whether nine tenths of it are one colour; `solid_share`, 0 to 1, how much is."""

    solid: bool
    solid_share: float


@dataclass(frozen=True, kw_only=True)
class HairCheck(ColourCheck):
    """`two_toned`: two hues, each over a fifth of the hair's cells; None without hair."""

    two_toned: bool | None


@dataclass(frozen=True, kw_only=True)
class AccessoryCheck(ColourCheck):
    """Something worn: the `phrase` that asks for it, its `kind`, and whether it is `present`; None: not to be told."""

    phrase: str
    kind: str | None
    present: bool | None


@dataclass(frozen=True)
class Checks:
    """All checks of one portrait against one prompt."""

    background: BackgroundCheck
    hair: HairCheck
    skin: ColourCheck
    eyes: ColourCheck
    lips: ColourCheck
    accessories: tuple[AccessoryCheck, ...]


@dataclass(frozen=True)
class _Place:
    """Where to look, what is asked for there, the words for its colours, and how near (DIN99o) these are one."""

    mask: Mask
    wanted: Asked | None
    words: Vocabulary
    near: float = ONE_COLOUR


@dataclass(frozen=True)
class _Look:
    """The main colour of a place, its word and share; how sure it is what is asked, and the share of cells that are."""

    place: _Place
    main: NDArray[np.uint8]
    word: str
    share: float
    certainty: float
    difference: float | None
    passing: float | None
    passed_share: float

    @property
    def of_both(self) -> float | None:
        """Main colour and cells taken together."""
        return None if self.passing is None else (self.passing + self.passed_share) / 2


_BALD = {"word": "bald", "hex": None}
_COLOURED = ("skin", "eyes", "lips")


def check(reading: Reading, prompt: str | None, words: Callable[[str], Vocabulary]) -> Checks:
    """Each part, and each accessory that the prompt names; `words` gives a part's colour words, "" those of the rest."""
    portrait = reading.portrait
    wanted = asked(prompt) if prompt else {}
    bald = prompt is not None and asks_bald(prompt)
    worn = accessories(prompt) if prompt else ()
    hair = hair_of(portrait)
    places: dict[_Name, _Place] = {
        "background": _Place(portrait.mask("background"), wanted.get("background"), words("background"), NEAR),
        "hair": _Place(hair, wanted.get("hair"), words("hair"), _HAIR),
        **{part: _Place(portrait.mask(part), wanted.get(part), words(part)) for part in _COLOURED},
        **{item: _Place(_where(portrait, item) & ~hair, item, words("")) for item in worn},
    }
    looks = _looks(portrait, places)
    skin, eyes, lips = (_part(reading, part, places[part], looks.get(part)) for part in _COLOURED)
    return Checks(
        _background(places["background"], looks.get("background")),
        _hair(reading, places["hair"], looks.get("hair"), bald),
        skin,
        eyes,
        lips,
        tuple(_accessory(reading, item, places[item], looks.get(item)) for item in worn),
    )


def _likely(reading: Reading, item: Accessory, mask: Mask) -> float:
    """How likely something is worn, 0 to 1."""
    kind = "headwear" if _SEEN_AS[item.kind or ""] == "headwear" else item.kind or ""
    return reading.worn.get(kind, float(mask.sum() > _FEW))


def _where(portrait: Portrait, item: Accessory) -> Mask:
    part = _SEEN_AS.get(item.kind or "")
    return portrait.mask(part) if part else np.zeros_like(portrait.labels, dtype=bool)


def _looks(portrait: Portrait, places: Mapping[_Name, _Place]) -> dict[_Name, _Look]:
    """A look at each place that has cells, by the same names."""
    palette, certainty = portrait.scene.palette, portrait.certainty
    mains = main_colours(portrait, [place.mask for place in places.values()], [place.near for place in places.values()])
    seen = {name: main for name, main in zip(places, mains, strict=True) if main is not None}
    if not seen:
        return {}
    codes = [_code(places[name].wanted) for name in seen]
    lab = to_lab([main.colour for main in seen.values()])
    differences = ciede2000(lab, to_lab([parse_hex(code or "#000000") for code in codes]))
    found = {}
    for (name, main), code, point, difference in zip(seen.items(), codes, to_din99o(lab), differences, strict=True):
        place = places[name]
        present = np.flatnonzero(main.counts)
        shares = place.words.shares_at(np.vstack([point, palette.points[present]]))
        wanted = _asked_words(place.wanted, place.words)
        passing = place.words.passing(shares, wanted)
        n_cells = int(main.counts.sum())
        found[name] = _Look(
            place,
            main.colour,
            place.words.words[int(shares[0].argmax())],
            main.share,
            float(certainty[place.mask].sum()) / n_cells,
            round(float(difference), 1) if code else None,
            float(passing[0]) if wanted else None,
            int(main.counts[present][passing[1:] >= 0.5].sum()) / n_cells,
        )
    return found


def _background(place: _Place, look: _Look | None) -> BackgroundCheck:
    """It matches when its main colour does, and of one that is not solid two thirds of the cells."""
    if look is None:
        return BackgroundCheck(**_unseen(place, "no background is seen"), solid=False, solid_share=0.0)
    solid, passing = look.share >= _SOLID_SHARE, look.passing
    if passing is not None and not solid and look.passed_share < _MAJORITY:
        passing = min(passing, _NOT_ALL)
    reason = ""
    if place.wanted and place.wanted.pattern and passing is None:
        reason = f"a {place.wanted.pattern} background is asked for, of no one colour"
    return BackgroundCheck(**_seen(look, passing, reason), solid=solid, solid_share=round(look.share, 3))


def _hair(reading: Reading, place: _Place, look: _Look | None, bald: bool) -> HairCheck:
    """It matches when its main colour and most of its strands do."""
    if look is None or place.mask.sum() < _FEWEST_HAIR:
        return HairCheck(**_no_hair(reading, place, bald), two_toned=None)
    found = _seen(look, look.of_both)
    if bald:
        found |= {"asked": _BALD, "matches": False, "confidence": 0.9, "reason": "hair is seen"}
    return HairCheck(**found, two_toned=two_toned(reading.portrait, place.mask))


def _part(reading: Reading, part: str, place: _Place, look: _Look | None) -> ColourCheck:
    """Skin, eyes or lips by their main colour and cells."""
    behind = part == "eyes" and reading.worn["eyewear"] >= _SURE
    if behind and not _shows_eyes(reading.portrait):
        return ColourCheck(**_unseen(place, "covered by eyewear"))
    if look is None:
        return ColourCheck(**_unseen(place, f"no {part} seen"))
    if behind and _may_gleam(look.main):
        return ColourCheck(**_seen(look, None, "behind eyewear: perhaps a gleam"))
    return ColourCheck(**_seen(look, look.of_both))


def _accessory(reading: Reading, item: Accessory, place: _Place, look: _Look | None) -> AccessoryCheck:
    """It matches when it is there, in the asked colour where one is asked for."""
    if item.kind not in _SEEN_AS:
        found, present = _unseen(place, f"{item.kind or 'this'} is not looked for"), None
    else:
        found, present = _worn(reading, item, place, look)
    return AccessoryCheck(**found, phrase=item.text, kind=item.kind, present=present)


def _worn(reading: Reading, item: Accessory, place: _Place, look: _Look | None) -> tuple[dict[str, Any], bool | None]:
    likely = _likely(reading, item, place.mask)
    if likely <= _UNSURE:
        return _unseen(place, "not seen") | {"matches": False, "confidence": round(1 - likely, 2)}, False
    if look is None:
        return _unseen(place, "too few cells to tell"), None
    if likely < _SURE:
        return _seen(look, None, "whether it is there cannot be told"), None
    return _seen(look, look.of_both if item.words else likely), True


def _shows_eyes(portrait: Portrait) -> bool:
    """Whether eyes show through what is worn over them, in a colour of their own."""
    eyes, frame = (main_colour(portrait, portrait.mask(part)) for part in ("eyes", "eyewear"))
    if eyes is None or frame is None:
        return eyes is not None
    one, other = to_din99o(to_lab([eyes.colour, frame.colour]))
    return bool(np.linalg.norm(one - other) > _SHOWS)


def _may_gleam(colour: NDArray[np.uint8]) -> bool:
    lightness, *hue = to_lab(colour)
    return bool(lightness > _GLINT and np.hypot(*hue) < _GREY)


def _no_hair(reading: Reading, place: _Place, bald: bool) -> dict[str, Any]:
    covered = reading.worn["headwear"] >= _SURE
    found = _unseen(place, "covered by headwear" if covered else "no hair is seen")
    if bald:
        return found | {"asked": _BALD, "matches": True, "confidence": 0.8}
    return found | {"matches": False, "confidence": 0.8} if found["asked"] and not covered else found


def _asked_words(wanted: Asked | None, words: Vocabulary) -> Sequence[str]:
    """The known colour words asked for; a bare code stands for its nearest word."""
    if wanted is None:
        return ()
    known = [word for word in wanted.words if words.known(word)]
    return known if known or not wanted.code else (words.named(wanted.code),)


def _seen(look: _Look, passing: float | None, reason: str = "") -> dict[str, Any]:
    if passing is None and not reason:
        reason = "no colour that is known is asked for" if look.place.wanted else "not asked for"
    return {
        "asked": _asked(look.place),
        "observed": {"word": look.word, "hex": format_hex(look.main)},
        "delta_e": look.difference,
        "matches": None if passing is None else passing >= 0.5,
        "confidence": 0.0 if passing is None else round(0.5 + abs(passing - 0.5) * look.certainty, 2),
        "reason": "" if passing is not None else reason,
    }


def _unseen(place: _Place, reason: str) -> dict[str, Any]:
    return {
        "asked": _asked(place),
        "observed": {"word": None, "hex": None},
        "delta_e": None,
        "matches": None,
        "confidence": 0.0,
        "reason": reason,
    }


def _asked(place: _Place) -> dict[str, str | None] | None:
    wanted = place.wanted
    if wanted is None or not (wanted.words or wanted.code):
        return None
    return {"word": next(iter(_asked_words(wanted, place.words)), wanted.word), "hex": wanted.code}


def _code(wanted: Asked | None) -> str | None:
    return wanted.code if wanted else None
