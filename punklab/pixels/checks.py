"""Whether the parts of a portrait have the colours, and it wears the things, that a prompt asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.asked import Accessory, Asked
from punklab.pixels.colour import ciede2000, format_hex, parse_hex, to_lab
from punklab.pixels.naming import Vocabulary
from punklab.pixels.palette import NEAR
from punklab.pixels.parts import ONE_COLOUR, hair_of, main_colour, two_toned
from punklab.pixels.portrait import WORN, Portrait
from punklab.pixels.prior import Reading

Mask = NDArray[np.bool_]

_HAIR = 13.0  # DIN99o: shades of one head of hair
_FEWEST_HAIR = 4
_SOLID_SHARE = 0.9
_MAJORITY = 2 / 3
_NOT_ALL = 0.4  # how sure a background matches that only in part does
_SURE, _UNSURE = 0.65, 0.35
_SHOWS = 10.0  # CIEDE2000 by which eyes stand out from a frame
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
class _Look:
    """The main colour of a part, its word and share; how sure it is what is asked, and the share of cells that are."""

    main: NDArray[np.uint8]
    word: str
    share: float
    certainty: float
    passing: float | None
    passed_share: float

    @property
    def of_both(self) -> float | None:
        """Main colour and cells taken together."""
        return None if self.passing is None else (self.passing + self.passed_share) / 2


def check_background(portrait: Portrait, wanted: Asked | None, words: Vocabulary) -> BackgroundCheck:
    """The background: it matches when its main colour does, and of one that is not solid two thirds of the cells."""
    look = _look(portrait, portrait.mask("background"), wanted, words, NEAR)
    if look is None:
        return BackgroundCheck(**_unseen(wanted, words, "no background is seen"), solid=False, solid_share=0.0)
    solid, passing = look.share >= _SOLID_SHARE, look.passing
    if passing is not None and not solid and look.passed_share < _MAJORITY:
        passing = min(passing, _NOT_ALL)
    reason = ""
    if wanted and wanted.pattern and passing is None:
        reason = f"a {wanted.pattern} background is asked for, of no one colour"
    check = _check(look, wanted, words, passing, reason)
    return BackgroundCheck(**check, solid=solid, solid_share=round(look.share, 3))


def check_hair(reading: Reading, wanted: Asked | None, bald: bool, words: Vocabulary) -> HairCheck:
    """The hair: it matches when its main colour and most of its strands do."""
    portrait = reading.portrait
    mask = hair_of(portrait)
    look = _look(portrait, mask, wanted, words, _HAIR) if mask.sum() >= _FEWEST_HAIR else None
    if look is None:
        return HairCheck(**_no_hair(reading, wanted, bald, words), two_toned=None)
    check = _check(look, wanted, words, look.of_both)
    if bald:
        check |= {"asked": _BALD, "matches": False, "confidence": 0.9, "reason": "hair is seen"}
    return HairCheck(**check, two_toned=two_toned(portrait, mask))


def check_part(reading: Reading, part: str, wanted: Asked | None, words: Vocabulary) -> ColourCheck:
    """Skin, eyes or lips by their main colour and cells."""
    portrait = reading.portrait
    if part == "eyes" and reading.worn["eyewear"] >= _SURE and not _shows_eyes(portrait):
        return ColourCheck(**_unseen(wanted, words, "covered by eyewear"))
    look = _look(portrait, portrait.mask(part), wanted, words)
    if look is None:
        return ColourCheck(**_unseen(wanted, words, f"no {part} seen"))
    return ColourCheck(**_check(look, wanted, words, look.of_both))


def check_accessory(reading: Reading, wanted: Accessory, words: Vocabulary) -> AccessoryCheck:
    """Something worn: it matches when it is there, in the asked colour where one is asked for."""
    part = _SEEN_AS.get(wanted.kind or "")
    if part is None:
        found, present = _unseen(wanted, words, f"{wanted.kind or 'this'} is not looked for"), None
    else:
        found, present = _worn(reading, part, wanted, words)
    return AccessoryCheck(**found, phrase=wanted.text, kind=wanted.kind, present=present)


_BALD = {"word": "bald", "hex": None}


def _worn(reading: Reading, part: str, wanted: Accessory, words: Vocabulary) -> tuple[dict[str, Any], bool | None]:
    portrait = reading.portrait
    mask = portrait.mask(part)
    if part == "headwear":
        mask &= ~hair_of(portrait)
    likely = reading.worn.get("headwear" if part == "headwear" else wanted.kind or "", float(mask.sum() > 2))
    if likely <= _UNSURE:
        return _unseen(wanted, words, "not seen") | {"matches": False, "confidence": round(1 - likely, 2)}, False
    look = _look(portrait, mask, wanted, words)
    if look is None:
        return _unseen(wanted, words, "too few cells to tell"), None
    if likely < _SURE:
        return _check(look, wanted, words, None, "whether it is there cannot be told"), None
    return _check(look, wanted, words, look.of_both if wanted.words else likely), True


def _look(
    portrait: Portrait, mask: Mask, wanted: Asked | None, words: Vocabulary, near: float = ONE_COLOUR
) -> _Look | None:
    """None where the mask is empty."""
    main, share = main_colour(portrait, mask, near)
    if main is None:
        return None
    palette = portrait.scene.palette
    counts = np.bincount(palette.which[mask], minlength=len(palette.points))
    seen = np.flatnonzero(counts)
    shares = words.shares(np.vstack([main, palette.colours[seen]]))
    asked = _asked_words(wanted, words)
    passing = words.passing(shares, asked)
    passed = counts[seen][passing[1:] >= 0.5].sum() / counts.sum()
    return _Look(
        main,
        words.words[int(shares[0].argmax())],
        share,
        float(portrait.certainty[mask].mean()),
        float(passing[0]) if asked else None,
        float(passed),
    )


def _shows_eyes(portrait: Portrait) -> bool:
    """Whether eyes show through what is worn over them, in a colour of their own."""
    eyes, _ = main_colour(portrait, portrait.mask("eyes"))
    frame, _ = main_colour(portrait, portrait.mask("eyewear"))
    if eyes is None or frame is None:
        return eyes is not None
    return bool(ciede2000(to_lab(eyes), to_lab(frame)) > _SHOWS)


def _no_hair(reading: Reading, wanted: Asked | None, bald: bool, words: Vocabulary) -> dict[str, Any]:
    covered = reading.worn["headwear"] >= _SURE
    found = _unseen(wanted, words, "covered by headwear" if covered else "no hair is seen")
    if bald:
        return found | {"asked": _BALD, "matches": True, "confidence": 0.8}
    return found | {"matches": False, "confidence": 0.8} if found["asked"] and not covered else found


def _asked_words(wanted: Asked | None, words: Vocabulary) -> Sequence[str]:
    """The known colour words asked for; a bare code stands for its nearest word."""
    if wanted is None:
        return ()
    known = [word for word in wanted.words if words.known(word)]
    return known if known or not wanted.code else (words.named(wanted.code),)


def _check(
    look: _Look, wanted: Asked | None, words: Vocabulary, passing: float | None, reason: str = ""
) -> dict[str, Any]:
    difference = None
    if wanted and wanted.code:
        difference = round(float(ciede2000(to_lab(look.main), to_lab(parse_hex(wanted.code)))), 1)
    if passing is None and not reason:
        reason = "no colour that is known is asked for" if wanted else "not asked for"
    return {
        "asked": _asked(wanted, words),
        "observed": {"word": look.word, "hex": format_hex(look.main)},
        "delta_e": difference,
        "matches": None if passing is None else passing >= 0.5,
        "confidence": 0.0 if passing is None else round(0.5 + abs(passing - 0.5) * look.certainty, 2),
        "reason": "" if passing is not None else reason,
    }


def _unseen(wanted: Asked | None, words: Vocabulary, reason: str) -> dict[str, Any]:
    return {
        "asked": _asked(wanted, words),
        "observed": {"word": None, "hex": None},
        "delta_e": None,
        "matches": None,
        "confidence": 0.0,
        "reason": reason,
    }


def _asked(wanted: Asked | None, words: Vocabulary) -> dict[str, str | None] | None:
    if wanted is None or not (wanted.words or wanted.code):
        return None
    return {"word": next(iter(_asked_words(wanted, words)), wanted.word), "hex": wanted.code}
