"""What a prompt or a caption asks for, read from the lab's prompt grammar: phrases between commas, codes in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from textwrap import shorten

from punklab.pixels.colour import HEX_CODE
from punklab.pixels.colour_words import MODIFIERS, SEEN
from punklab.pixels.naming import vocabulary

PARTS = ("hair", "eyes", "lips", "skin", "background")
EXPRESSIONS = ("slight smile", "neutral expression")
# Words that say how a background is drawn; one that is asked for is not asked to be of one colour.
PATTERNS = (
    "split",
    "checkered",
    "checker",
    "striped",
    "stripes",
    "pinstripe",
    "pinstripes",
    "gradient",
    "radial",
    "ombre",
    "two tone",
    "multicolored",
    "multicolor",
    "rainbow",
    "flag",
    "brick",
)

_PART = re.compile(r"\b(hair|eyes|lips|skin|background)\b", re.IGNORECASE)
_BALD = re.compile(r"\bbald\b", re.IGNORECASE)
_PATTERN = re.compile(rf"\b(?:{'|'.join(PATTERNS)})\b", re.IGNORECASE)
_SOLID = re.compile(r"\b(?:solid|plain|flat)\b", re.IGNORECASE)
_HALF_CODE = re.compile(r"#[0-9a-zA-Z]*")
# The kinds of things worn, each with the words that name it; the first kind that fits is taken. A hat covers the hair, a
# headband lies across it, an ornament on it.
KINDS: dict[str, str] = {
    "eyewear": r"(?:sun)?glasses|shades|goggles?|lenses|eye ?patch|monocle",
    "earrings": r"ear ?rings?|hoops?|studs?|dangling|piercing",
    "necklace": r"necklaces?|chain|pendant|choker",
    "hat": r"hats?|cap|cowboy|beanie|hood|beret|f[ei]dora|turban|helmet",
    "headband": r"headband|banda[nd]a",
    "ornament": r"crown|tiara|bow|flowers?|halo|cat ears",
    "facial_hair": r"beard|stub+le|mou?stache?|goatee|facial hair",
    "smoking": r"joint|cigar|cigarette|pipe|smoking",
    "wings": r"wings?",
    "clothes": r"hoodie|shirt|tee|suit|jacket|coat|sweater|blouse|dress|top|blazer|vest|tie|clothing|clothes|jumpsuit|garment",
}
_KINDS = {kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in KINDS.items()}
_WORN = re.compile(
    r"^\s*wearing\b|\b(?:in hair|on top of head|crown|tiara|earrings?|hat|cap|beanie|bow|glasses|sunglasses|shades|"
    r"goggles?|headband|bandana|hood|hoodie|necklaces?|chain|veil|wings|joint|flower|beard|stubble|mustache)\b",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(r"\b(?:palette|portrait|pixel|smile|expression|sharp|borders)\b", re.IGNORECASE)
_SHOWN = 60  # letters of a phrase that a message repeats
_NAMED, _MOST_NOTES = 3, 10  # contradicting phrases that a message names, and messages
_MOST_WORN = 30  # accessories of one prompt; the rest of a longer list is nonsense
_TOKEN = re.compile(r"[a-z]+", re.IGNORECASE)
_FIRST_HALVES = {word.split()[0] for word in SEEN if " " in word}  # "sky" is a colour only before "blue"
# How light a skin is, is its colour word; elsewhere such words only shade another.
_TONES = frozenset({"pale", "light", "medium", "dark", "fair", "olive", "tan", "deep"})


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

    @property
    def pattern(self) -> str | None:
        """How a background shall be drawn, such as "split"; None where one colour is asked for."""
        found = _PATTERN.search(self.text)
        return found.group().lower() if found else None

    @property
    def solid(self) -> bool:
        """Whether it says that the colour shall be solid."""
        return _SOLID.search(self.text) is not None


@dataclass(frozen=True)
class Accessory(Asked):
    """Something worn that a prompt asks for; `kind` is a key of `KINDS`, None for what no word of them names."""

    kind: str | None


@lru_cache(maxsize=1024)
def phrases(prompt: str) -> tuple[Phrase, ...]:
    """The phrases of a prompt in order; an empty one (a doubled comma) is left out."""
    return tuple(_phrase(piece) for piece in _pieces(prompt) if piece.strip())


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


def accessories(prompt: str) -> list[Accessory]:
    """What the punk wears, in order; the first 30."""
    worn = [phrase for phrase in phrases(prompt) if phrase.worn][:_MOST_WORN]
    return [
        Accessory(colour_words(phrase.text), phrase.codes[0] if phrase.codes else None, phrase.text, _kind(phrase.text))
        for phrase in worn
    ]


@lru_cache(maxsize=1024)
def kinds_named(prompt: str) -> frozenset[str]:
    """The kinds of things worn (of `KINDS`) that a prompt names anywhere."""
    return frozenset(kind for kind, words in _KINDS.items() if words.search(prompt))


def asks_bald(prompt: str) -> bool:
    """Whether a prompt asks for no hair."""
    return any(_BALD.search(phrase.text) for phrase in phrases(prompt))


@lru_cache(maxsize=1024)
def unread(prompt: str) -> tuple[str, ...]:
    """What in a prompt cannot be read or contradicts itself, as sentences that name it and the mend."""
    problems = [
        f"{text[:_SHOWN]} is no colour code; write # and six digits from 0 to f, such as #00ff00"
        for text in dict.fromkeys(_HALF_CODE.findall(prompt))
        if not HEX_CODE.fullmatch(text)
    ]
    for part in PARTS:
        said = [phrase for phrase in phrases(prompt) if phrase.part == part]
        codes = {code for phrase in said for code in phrase.codes[:1]}
        words = list(dict.fromkeys(word for phrase in said for word in colour_words(phrase.text, part)[:1]))
        if len(said) > 1 and (len(codes) > 1 or len(words) > 1):
            asked_for = ", ".join(shorten(phrase.text, _SHOWN, placeholder="…") for phrase in said[:_NAMED])
            problems.append(f"{part} is asked for more than once ({asked_for}): keep one")
    if not any(phrase.part or phrase.worn for phrase in phrases(prompt)) and not asks_bald(prompt):
        problems.append('nothing that can be judged is asked for: name it in English, such as "solid green background"')
    return tuple(problems[:_MOST_NOTES])


@lru_cache(maxsize=4096)
def colour_words(text: str, part: str = "") -> tuple[str, ...]:
    """The colours that a phrase names, modifiers included; those before the part's own word come first.

    Of a run of colour words the last one leads, as in English: "ashy blonde" is a blonde. The run's others follow.
    """
    place = re.search(rf"\b{part}\b", text, re.IGNORECASE) if part else None
    if place is None:
        return _colour_runs(text, part)
    return tuple(dict.fromkeys(_colour_runs(text[: place.start()], part) + _colour_runs(text[place.end() :], part)))


def _pieces(prompt: str) -> list[str]:
    """The prompt cut at its commas; one inside closed brackets belongs to the phrase: "(red, gold and white)"."""
    inside, opened = set(), []
    for place, letter in enumerate(prompt):
        if letter == "(":
            opened.append(place)
        elif letter == ")" and opened:
            inside.add((opened.pop(), place))
    pieces, begin, until = [], 0, -1
    ends = dict(inside)
    for place, letter in enumerate(prompt):
        until = max(until, ends.get(place, -1))
        if letter == "," and place > until:
            pieces.append(prompt[begin:place])
            begin = place + 1
    return [*pieces, prompt[begin:]]


def _kind(text: str) -> str | None:
    return next((kind for kind, words in _KINDS.items() if words.search(text)), None)


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


def _colour_runs(text: str, part: str = "") -> tuple[str, ...]:
    runs: list[list[str]] = [[]]
    for token in _TOKEN.findall(text.lower()):
        if token in MODIFIERS or token in _FIRST_HALVES or _names(token, part):
            runs[-1].append(token)
        else:
            runs.append([])
    heads = [head for head in (_head(run, part) for run in runs) if head]
    others = [token for run in runs for token in run if _names(token, part)]
    hues = [token for token in others if token not in _TONES]
    return tuple(dict.fromkeys(heads + (hues or others)))


def _head(run: list[str], part: str) -> str | None:
    colours = [place for place, token in enumerate(run) if _names(token, part)]
    if not colours:
        return None
    last = colours[-1]
    start = last - 1 if last and " ".join(run[last - 1 : last + 1]) in SEEN else last
    while start and run[start - 1] in _shading(part):
        start -= 1
    return " ".join(dict.fromkeys(run[start : last + 1]))


def _names(token: str, part: str) -> bool:
    return vocabulary(part).known(token) is not None and token not in _shading(part)


def _shading(part: str) -> frozenset[str]:
    """Words that shade a colour and are none themselves."""
    return MODIFIERS - _TONES if part == "skin" else MODIFIERS
