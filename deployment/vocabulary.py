"""Finds what a set of captions can be asked for: clean, frequent phrases, sorted into kinds, with their colours."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from deployment.traits import PLAIN, PUNKS, Option, Traits, fixed
from punklab.diffusion import tokens
from punklab.pixels.asked import EXPRESSIONS, Phrase, colour_words, phrases
from punklab.pixels.colour import ciede2000, format_hex, parse_hex, to_lab
from punklab.pixels.naming import passes_for, word_prototypes
from runs.models import Caption, CaptionVersion

MOST = 24  # options of one kind
MOST_WORDS = 9
MOST_LETTERS = 56
KNOWN_AFTER = 3  # a word that so many captions use is no slip of the pen
HAS_CODES = 0.5  # share of captions
SAME_TONE = 20.0  # CIEDE2000

_WORN = {
    "headwear": r"hats?|caps?|crown|tiara|beanie|headband|bandana|bow|flower|veil|beret|fedora|halo|cat ears",
    "eyewear": r"glasses|sunglasses|shades|goggles?|eye patch",
    "earrings": r"earrings?|studs?",
    "necklace": r"necklaces?|chain|pendant|choker",
    "facial_hair": r"stubble|beard|mustache|moustache|goatee",
    "other": r"joint|wings|cigarette|pipe",
}
_KIND = {kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in _WORN.items()}
_CLOTHES = re.compile(
    r"\b(?:\w*shirt|suit|jacket|blouse|hoodie|coat|cape|vest|clothing|\w+suit|sweater|dress|top(?! hat| of))\b",
    re.IGNORECASE,
)
_PART = re.compile(r"\b(?:hair|eyes?|lips|skin(?:ned)?|background|face|facial)\b", re.IGNORECASE)
_CLEAN = re.compile(r"[A-Za-z][A-Za-z0-9 '/&-]*[A-Za-z]")
_BALD = re.compile(r"(?:wearing )?bald(?: head)?", re.IGNORECASE)
_END = {
    "hair": re.compile(r"\s+(?:colou?red?\s+)?hair$", re.IGNORECASE),
    "eyes": re.compile(r"\s+eyes$", re.IGNORECASE),
    "skin": re.compile(r"\s+(?:colou?red\s+)?skin(?:\s+tone)?(?:\s+colou?r)?$", re.IGNORECASE),
    "background": re.compile(r"\s+(?:as )?background$", re.IGNORECASE),
}
_WORN_START = re.compile(r"^(?:wearing |with )?(?:an? )?", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:fe)?male|\b(?:wo)?man\b|\bgirl|\bboy|\bguy", re.IGNORECASE)
# What the captions' words for skin look like where the captions carry no codes.
_SKIN = {
    "pale": "#ffe1cd", "light": "#f0c8a8", "medium": "#d0a070", "tan": "#be8255", "olive": "#b9a069",
    "brown": "#965f3c", "dark": "#69412d", "black": "#4b2d23", "green": "#96c38c", "gray": "#aaaaaf", "grey": "#aaaaaf",
    "pink": "#f2b8b0", "blue": "#96b9e1", "purple": "#a582be",
}  # fmt: skip


@dataclass
class _Found:
    """How often a phrase was said, in which spelling, and with which codes."""

    spellings: Counter[str] = field(default_factory=Counter)
    codes: list[str] = field(default_factory=list)

    @property
    def times(self) -> int:
        return self.spellings.total()

    @property
    def phrase(self) -> str:
        return min(self.spellings, key=lambda text: (-self.spellings[text], text))


def derive(captions: Iterable[str]) -> Traits:
    """What visitors may choose from these captions: at most 24 phrases of each kind, the most frequent first.

    Left out are phrases about several things, about clothes, of many words, and with words that are neither English nor
    used by several captions. A kind that the captions say nothing about is missing.
    """
    texts = list(captions)
    read = [phrases(text) for text in texts]
    known = _known_words(texts)
    kinds: dict[str, dict[str, _Found]] = defaultdict(lambda: defaultdict(_Found))
    lips: Counter[str] = Counter()
    for caption in read:
        shared = _shared_codes(caption)
        for phrase in caption:
            if phrase.part == "lips":
                lips[phrase.text] += 1
            kind = _kind(phrase)
            if kind and _offered(kind, phrase.text, known):
                found = kinds[kind][_same(kind, phrase.text)]
                found.spellings[phrase.text] += 1
                found.codes += [
                    code for code in phrase.codes[:1] if kind in ("background", "skin") or code not in shared
                ]
    coded = sum(any(phrase.codes for phrase in caption) for caption in read)
    options = {kind: _options(kind, found) for kind, found in kinds.items()}
    return Traits(
        options={"punk": fixed(PUNKS), "expression": fixed(EXPRESSIONS), **options},
        lips=_lips(lips, known),
        codes=bool(texts) and coded / len(texts) > HAS_CODES,
    )


def of_version(version: CaptionVersion) -> Traits:
    """What visitors may choose from the captions of one version."""
    return derive(Caption.objects.filter(version=version).order_by("stem").values_list("text", flat=True))


def _kind(phrase: Phrase) -> str | None:
    """What a phrase is about; None when it is about nothing on offer, or about two things at once."""
    if _BALD.fullmatch(phrase.text):
        return "hair"
    if _CLOTHES.search(phrase.text):
        return None
    worn = [kind for kind, words in _KIND.items() if words.search(phrase.text)]
    if phrase.part is None:
        bare = re.sub(r"\bin hair\b", "", phrase.text, flags=re.IGNORECASE)
        return worn[0] if len(worn) == 1 and not _PART.search(bare) else None
    alone = len(_PART.findall(phrase.text)) == 1 and not worn and not phrase.text.lower().startswith("wearing")
    return phrase.part if phrase.part in PLAIN and alone else None


def _shared_codes(caption: Sequence[Phrase]) -> set[str]:
    """Codes that a caption gives to two parts: they are true of the background or the skin, seldom of the other."""
    said = Counter(phrase.codes[0] for phrase in caption if phrase.codes and phrase.text and phrase.text != "palette:")
    return {code for code, times in said.items() if times > 1}


def _offered(kind: str, text: str, known: frozenset[str]) -> bool:
    words = text.split()
    return (
        len(words) <= MOST_WORDS
        and len(text) <= MOST_LETTERS
        and _CLEAN.fullmatch(text) is not None
        and "/ " not in text
        and not _PERSON.search(text)
        and (kind == "hair" or kind not in _END or _END[kind].search(text) is not None)
        and text.lower() not in ("hair", "colored skin")
        and all(word.lower() in known for word in re.findall(r"[A-Za-z]+", text))
    )


def _same(kind: str, text: str) -> str:
    """The key under which spellings of one wish are counted together."""
    plain = _label(kind, text).lower().replace("grey", "gray").replace("moustache", "mustache")
    return re.sub(r"\b(\w{4,})s\b", r"\1", plain)


def _known_words(texts: Sequence[str]) -> frozenset[str]:
    """Words that CLIP's vocabulary keeps whole, that several captions use, or that name what is worn."""
    used: Counter[str] = Counter()
    for text in texts:
        used.update(set(re.findall(r"[a-z]+", text.lower())))
    words = sorted(used)
    counts = tokens.clip().count(words) if words else []
    return frozenset(
        word
        for word, count in zip(words, counts, strict=True)
        if count == 1 or used[word] >= KNOWN_AFTER or any(kind.fullmatch(word) for kind in _KIND.values())
    )


def _options(kind: str, found: dict[str, _Found]) -> tuple[Option, ...]:
    ranked = sorted(found.values(), key=lambda each: (-each.times, len(each.phrase), each.phrase))
    return tuple(Option(each.phrase, _label(kind, each.phrase), _swatches(kind, each)) for each in ranked[:MOST])


def _label(kind: str, phrase: str) -> str:
    if kind in _END:
        return _END[kind].sub("", phrase) or phrase
    return _WORN_START.sub("", phrase)


def _swatches(kind: str, found: _Found) -> tuple[str, ...]:
    """One or two colours for a phrase; none where its words name no colour.

    A caption's code counts where it passes for the word beside it: most codes of the lab's hair are the background's.
    """
    if kind == "skin":
        return _skin_swatch(found)
    named = colour_words(found.phrase, kind if kind in PLAIN else "")
    apart = [word for word in named if not any(word != other and word in other for other in named)]
    swatches = (_swatch(word, found.codes) for word in apart[:2])
    return tuple(dict.fromkeys(swatch for swatch in swatches if swatch))


def _swatch(word: str, codes: Sequence[str]) -> str | None:
    fitting = [rgb for code in codes if passes_for(rgb := parse_hex(code), word)]
    if fitting:
        return format_hex(np.median(fitting, axis=0))
    examples = word_prototypes(word)
    return format_hex(examples[len(examples) // 2]) if examples else None


def _skin_swatch(found: _Found) -> tuple[str, ...]:
    """The median of the captions' codes; of one or two only where they look like the word."""
    tone = next((_SKIN[word] for word in reversed(found.phrase.lower().split()) if word in _SKIN), None)
    if not found.codes:
        return (tone,) if tone else ()
    seen = np.median([parse_hex(code) for code in found.codes], axis=0)
    if tone is None or len(found.codes) >= KNOWN_AFTER:
        return (format_hex(seen),)
    near = ciede2000(to_lab(seen), to_lab(parse_hex(tone))) < SAME_TONE
    return (format_hex(seen) if near else tone,)


def _lips(said: Counter[str], known: frozenset[str]) -> str:
    clean = [text for text in said if _CLEAN.fullmatch(text) and all(word.lower() in known for word in text.split())]
    return min(clean, key=lambda text: (-said[text], text), default="lips")
