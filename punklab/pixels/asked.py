"""What a prompt or a caption asks for, read from the lab's prompt grammar: phrases between commas, codes in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from punklab.pixels.colour import HEX_CODE, known_word
from punklab.pixels.colour_words import MODIFIERS, SEEN

PARTS = ("hair", "eyes", "lips", "skin", "background")
EXPRESSIONS = ("slight smile", "neutral expression")

# A comma inside closed brackets belongs to the phrase: "(red, gold and white)".
_COMMA = re.compile(r",(?![^()]*\))")
_PART = re.compile(r"\b(hair|eyes|lips|skin|background)\b", re.IGNORECASE)
_WORN = re.compile(
    r"^\s*wearing\b|\b(?:in hair|on top of head|crown|tiara|earrings?|hat|cap|beanie|bow|glasses|sunglasses|shades|"
    r"goggles?|headband|bandana|hood|hoodie|necklaces?|chain|veil|wings|joint|flower|beard|stubble|mustache)\b",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(r"\b(?:palette|portrait|pixel|smile|expression|sharp|borders)\b", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z]+", re.IGNORECASE)
_FIRST_HALVES = {word.split()[0] for word in SEEN if " " in word}  # "sky" is a colour only before "blue"


@dataclass(frozen=True)
class Phrase:
    """One phrase of a prompt: its text without codes, the codes (lower case, with the mark), and what it is about."""

    text: str
    codes: tuple[str, ...]
    part: str | None

    @property
    def worn(self) -> bool:
        return self.part is None and _WORN.search(self.text) is not None


@dataclass(frozen=True)
class Asked:
    """What a prompt asks of one part: colour words in order, the colour code, the phrase; each may be missing."""

    words: tuple[str, ...]
    code: str | None
    text: str

    @property
    def word(self) -> str | None:
        return self.words[0] if self.words else None


@lru_cache(maxsize=1024)
def phrases(prompt: str) -> tuple[Phrase, ...]:
    """The phrases of a prompt in order; an empty one (a doubled comma) is left out."""
    return tuple(_phrase(piece) for piece in _COMMA.split(prompt) if piece.strip())


def asked(prompt: str) -> dict[str, Asked]:
    """What is asked of hair, eyes, lips, skin and background, as far as named; of two phrases, the first with a code."""
    found: dict[str, Asked] = {}
    all_phrases = phrases(prompt)
    for position, phrase in enumerate(all_phrases):
        if not phrase.part:
            continue
        code = _code(all_phrases, position)
        if phrase.part not in found or (code and found[phrase.part].code is None):
            found[phrase.part] = Asked(colour_words(phrase.text, phrase.part), code, phrase.text)
    return found


def accessories(prompt: str) -> list[Asked]:
    """What the punk wears, in order."""
    worn = [phrase for phrase in phrases(prompt) if phrase.worn]
    return [Asked(colour_words(phrase.text), phrase.codes[0] if phrase.codes else None, phrase.text) for phrase in worn]


def colour_words(text: str, part: str = "") -> tuple[str, ...]:
    """The colours that a phrase names, modifiers included; those before the part's own word come first.

    Of a run of colour words the last one leads, as in English: "ashy blonde" is a blonde. The run's others follow.
    """
    place = re.search(rf"\b{part}\b", text, re.IGNORECASE) if part else None
    if place is None:
        return _colour_runs(text)
    return tuple(dict.fromkeys(_colour_runs(text[: place.start()]) + _colour_runs(text[place.end() :])))


def _phrase(piece: str) -> Phrase:
    codes = tuple(f"#{digits.lower()}" for digits in HEX_CODE.findall(piece))
    text = " ".join(re.sub(r"\(\s*\)", " ", HEX_CODE.sub("", piece)).split())
    return Phrase(text, codes, _part(text))


def _part(text: str) -> str | None:
    named = [match.group().lower() for match in _PART.finditer(text)]
    if not named or re.search(r"\bin hair\b", text, re.IGNORECASE):
        return None
    return "background" if "background" in named else named[0]


def _code(all_phrases: tuple[Phrase, ...], position: int) -> str | None:
    """A description may run on over commas: its code is the next one before something else begins."""
    for distance, phrase in enumerate(all_phrases[position:]):
        if distance and (phrase.part or phrase.worn or _OUTSIDE.search(phrase.text)):
            return None
        if phrase.codes:
            return phrase.codes[0]
    return None


def _colour_runs(text: str) -> tuple[str, ...]:
    runs: list[list[str]] = [[]]
    for token in _TOKEN.findall(text.lower()):
        if token in MODIFIERS or token in _FIRST_HALVES or known_word(token):
            runs[-1].append(token)
        else:
            runs.append([])
    heads = [head for head in map(_head, runs) if head]
    others = [token for run in runs for token in run if token not in MODIFIERS and known_word(token)]
    return tuple(dict.fromkeys(heads + others))


def _head(run: list[str]) -> str | None:
    colours = [place for place, token in enumerate(run) if known_word(token)]
    if not colours:
        return None
    last = colours[-1]
    start = last
    while start and (run[start - 1] in MODIFIERS or run[start - 1] in _FIRST_HALVES):
        start -= 1
    return " ".join(dict.fromkeys(run[start : last + 1]))
