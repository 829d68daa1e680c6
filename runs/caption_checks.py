"""What is wrong, or odd, with a set of captions: pure functions from pairs to findings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from punklab.diffusion import tokens
from punklab.pixels.asked import EXPRESSIONS, Phrase, colour_words, phrases
from punklab.pixels.colour import HEX_CODE, ciede2000, parse_hex, to_lab
from punklab.pixels.naming import passes_for, word_prototypes
from runs.caption_images import foreign_codes, repeated_images
from runs.caption_pairs import Pair, Problem
from runs.caption_words import likely_typos, words_of

BLOCKING = frozenset({"missing_partner", "unreadable", "no_lips", "no_expression", "no_trigger_phrase"})
RULES = 1  # to be raised when a rule changes: findings are kept with the version they were found in
TRIGGER_PHRASE = "portrait of bespoke punk"
FEWEST_CODES = 12
# One CLIP window without its two markers, and the three windows that kohya reads.
WINDOW, MOST_TOKENS = 75, 225
_WORD_REACH = 15.0
_SHOWN = 6

_LIPS = re.compile(r"lips\b", re.IGNORECASE)
_DOUBLED = re.compile(r",\s*,")
_HANGING = re.compile(
    r"(?:\b(?:a|an|and|at|but|by|for|from|if|in|of|on|or|the|to|wearing|with)|[-/&+:;])$", re.IGNORECASE
)
_BROKEN_CODE = re.compile(r"#(?![0-9a-fA-F]{6}(?![0-9a-zA-Z]))\w*")
_SKIN_TONES = frozenset({"black", "white", "brown", "olive", "dark", "tan", "red", "yellow"})
_MOJIBAKE = re.compile(
    "[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac\u2122\u0152\u0153\u0160\u0161\u017d\u017e\u2018-\u201e]"
)


@dataclass(frozen=True)
class Finding:
    """One thing found in one file; `blocking` when a training must not start with it."""

    file: str
    code: str
    detail: str
    blocking: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def check(
    pairs: Sequence[Pair],
    problems: Iterable[Problem] = (),
    *,
    blocking: Collection[str] = BLOCKING,
) -> list[Finding]:
    """All findings of a caption version, in the order of files and codes.

    `problems` are files that did not make a pair; `blocking` is the profile: the codes that stop a training.
    """
    found = [(problem.file, problem.code, problem.detail) for problem in problems]
    with_codes = has_codes(pairs)
    typos = likely_typos(pair.text for pair in pairs)
    lengths = tokens.count([pair.text for pair in pairs])
    foreign = foreign_codes(pairs)
    for pair, length, codes in zip(pairs, lengths, foreign, strict=True):
        own = _caption_findings(pair.text, length, codes, with_codes, typos)
        found += [(f"{pair.stem}.txt", code, detail) for code, detail in own]
    found += [(f"{repeat.stem}.png", repeat.code, repeat.detail) for repeat in repeated_images(pairs)]
    return [Finding(file, code, detail, code in blocking) for file, code, detail in sorted(found)]


def check_caption(
    pair: Pair,
    *,
    with_codes: bool,
    typos: dict[str, tuple[str, int]],
    blocking: Collection[str] = BLOCKING,
) -> list[Finding]:
    """The findings of one caption, about 5 ms; what only a comparison with other pictures shows is left out.

    `with_codes` and `typos` are what its version says: `has_codes` and `likely_typos`.
    """
    length = tokens.count([pair.text])[0]
    own = _caption_findings(pair.text, length, foreign_codes([pair])[0], with_codes, typos)
    return [Finding(f"{pair.stem}.txt", code, detail, code in blocking) for code, detail in sorted(own)]


def has_codes(pairs: Sequence[Pair]) -> bool:
    """Whether these captions are of the kind that names colours by code: at least half of them do."""
    return 2 * sum(HEX_CODE.search(pair.text) is not None for pair in pairs) >= len(pairs) > 0


def shared_codes(text: str) -> dict[str, list[str]]:
    """Codes that two or more features of one caption have, each with the features; the palette at the end is none."""
    features: dict[str, list[str]] = {}
    for phrase in phrases(text):
        if _is_feature(phrase):
            for code in dict.fromkeys(phrase.codes):
                features.setdefault(code, []).append(phrase.part or phrase.text)
    return {code: names for code, names in features.items() if len(names) > 1}


def hair_is_background(text: str) -> bool:
    """Whether the first code after the word hair is the first after the word background."""
    hair, background = _first_code_after("hair", text), _first_code_after("background", text)
    return hair is not None and hair == background


def _caption_findings(
    text: str, length: int, foreign: Sequence[str], with_codes: bool, typos: dict[str, tuple[str, int]]
) -> Iterator[tuple[str, str]]:
    yield from _text_findings(text, with_codes)
    yield from _length_findings(text, length)
    yield from (("likely_typo", detail) for detail in _typo_details(text, typos))
    if foreign:
        yield "foreign_hex", f"not among the colours of its picture: {_listed(foreign)}"


def _text_findings(text: str, with_codes: bool) -> Iterator[tuple[str, str]]:
    plain = " ".join(text.lower().split())
    if not _LIPS.search(text):
        yield "no_lips", "the caption does not mention lips"
    if not any(expression in plain for expression in EXPRESSIONS):
        yield "no_expression", "neither 'slight smile' nor 'neutral expression'"
    if TRIGGER_PHRASE not in plain:
        yield "no_trigger_phrase", f"'{TRIGGER_PHRASE}' is missing"
    if with_codes and (distinct := len({code.lower() for code in HEX_CODE.findall(text)})) < FEWEST_CODES:
        yield "few_hex_codes", f"{distinct} distinct colour codes, fewer than {FEWEST_CODES}"
    if _DOUBLED.search(text):
        yield "doubled_comma", "two commas with nothing between them"
    yield from _code_findings(text)
    yield from (("unfinished_phrase", detail) for detail in _unfinished(text))
    if strange := _strange(text):
        yield "bad_characters", strange


def _code_findings(text: str) -> Iterator[tuple[str, str]]:
    if shared := shared_codes(text):
        listed = "; ".join(f"{code}: {', '.join(dict.fromkeys(names))}" for code, names in shared.items())
        note = "; the first code of hair is the first of background" if hair_is_background(text) else ""
        yield "shared_hex", f"{listed}{note}"
    for phrase in phrases(text):
        if _is_feature(phrase) and (detail := _contradiction(phrase)):
            yield "word_against_hex", detail


def _is_feature(phrase: Phrase) -> bool:
    return (
        bool(phrase.codes) and any(letter.isalpha() for letter in phrase.text) and not phrase.text.startswith("palette")
    )


def _contradiction(phrase: Phrase) -> str | None:
    words = [word for word in colour_words(phrase.text, phrase.part or "") if word_prototypes(word)]
    if phrase.part == "skin":
        words = [word for word in words if word.split()[-1] not in _SKIN_TONES]
    rgb = parse_hex(phrase.codes[0])
    if not words or any(passes_for(rgb, word) for word in words):
        return None
    prototypes = [prototype for word in words for prototype in word_prototypes(word)]
    if float(ciede2000(to_lab(rgb), to_lab(prototypes)).min()) <= _WORD_REACH:
        return None
    return f"'{phrase.text}' has {phrase.codes[0]}, which is no {' or '.join(words)}"


def _length_findings(text: str, length: int) -> Iterator[tuple[str, str]]:
    for limit in (WINDOW, MOST_TOKENS):
        if length > limit:
            _, cut = tokens.cut_after(text, limit)
            yield f"over_{limit}_tokens", f"{length} tokens; beyond {limit} stands: {cut}"


def _typo_details(text: str, typos: dict[str, tuple[str, int]]) -> Iterator[str]:
    for word in dict.fromkeys(words_of(text)):
        if word in typos:
            meant, times = typos[word]
            yield f"'{word}': likely '{meant}', which stands here {times} times"


def _unfinished(text: str) -> Iterator[str]:
    if text.rstrip().endswith(","):
        yield "the caption ends with a comma"
    if text.count("(") != text.count(")"):
        yield "a bracket is not closed or not opened"
    for code in _BROKEN_CODE.findall(text):
        yield f"'{code}' is no whole colour code"
    for phrase in phrases(text):
        if _HANGING.search(phrase.text) and not phrase.text.startswith("palette"):
            yield f"'{phrase.text}' breaks off"


def _strange(text: str) -> str | None:
    """Characters that do not belong in a caption, named; None when there are none."""
    if "\n" in text.strip() or "\r" in text.strip():
        return "a line break inside: kohya reads the first line only"
    if mojibake := _MOJIBAKE.search(text):
        return f"'{mojibake.group()}' looks like a letter read in the wrong encoding; type it again"
    if text.isascii() and text.strip().isprintable():
        return None
    odd = {letter for letter in text.strip() if not _belongs(letter)}
    names = [f"U+{ord(letter):04X} {unicodedata.name(letter, 'control character')}" for letter in sorted(odd)]
    return _listed(names) if names else None


def _belongs(letter: str) -> bool:
    return " " <= letter <= "~" or unicodedata.category(letter)[0] in "LNM"


def _first_code_after(word: str, text: str) -> str | None:
    place = re.search(rf"\b{word}\b", text, re.IGNORECASE)
    code = HEX_CODE.search(text, place.end()) if place else None
    return code.group(1).lower() if code else None


def _listed(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
