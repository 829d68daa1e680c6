"""A caption's text for people: its words beside those of another, and where in it a finding points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from punklab.diffusion import tokens
from punklab.pixels.colour import HEX_CODE
from runs.caption_checks import MOST_TOKENS, WINDOW, Finding

_WORDS = re.compile(r"\s+|#?\w+|[^\w\s]")
_QUOTED = re.compile(r"'([^']+)'")
_DOUBLED = re.compile(r",\s*,")


@dataclass(frozen=True)
class Piece:
    """A stretch of a text: `same`, `out` (only in the first) or `new` (only in the second)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Marked:
    """A stretch of a text and the findings that point at it."""

    text: str
    findings: tuple[Finding, ...]

    @property
    def blocks(self) -> bool:
        return any(each.blocking for each in self.findings)

    @property
    def is_only_beyond(self) -> bool:
        """Whether nothing is wrong with it but that it stands beyond a limit."""
        return all(_SPECIAL.get(each.code) is _beyond for each in self.findings)

    @property
    def words(self) -> str:
        return "; ".join(dict.fromkeys(f"{each.code}: {each.detail}" for each in self.findings))


@dataclass(frozen=True)
class Length:
    """How many tokens a text has, and what of it stands beyond one window (75) and beyond kohya's three (225)."""

    tokens: int
    beyond_window: str
    cut: str

    @property
    def windows(self) -> int:
        return -(-self.tokens // WINDOW)

    @property
    def limits(self) -> tuple[int, int]:
        return WINDOW, MOST_TOKENS


def diff(first: str, second: str) -> list[Piece]:
    """Both texts as one list of pieces, word by word."""
    before, after = _WORDS.findall(first), _WORDS.findall(second)
    pieces = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", "".join(before[a:b])))
            continue
        if a < b:
            pieces.append(Piece("out", "".join(before[a:b])))
        if c < d:
            pieces.append(Piece("new", "".join(after[c:d])))
    return pieces


def length_of(text: str) -> Length:
    """The text's tokens, about 0.2 ms."""
    return Length(tokens.count([text])[0], tokens.cut_after(text, WINDOW)[1], tokens.cut_after(text, MOST_TOKENS)[1])


def mark(text: str, findings: Sequence[Finding]) -> list[Marked]:
    """The text in stretches, each with the findings that name something in it."""
    spans = [(start, end, each) for each in findings for start, end in places(text, each)]
    edges = sorted({0, len(text), *(edge for start, end, _ in spans for edge in (start, end))})
    return [
        Marked(text[start:end], tuple(each for a, b, each in spans if a <= start and end <= b))
        for start, end in pairwise(edges)
    ]


def places(text: str, finding: Finding) -> list[tuple[int, int]]:
    """Where a finding points: begin and end of each stretch; empty where something is missing from the text."""
    found = _SPECIAL[finding.code](text, finding) if finding.code in _SPECIAL else _named(text, finding)
    return [(start, end) for start, end in found if start < end]


def _named(text: str, finding: Finding) -> Iterator[tuple[int, int]]:
    """What the detail quotes, and the colour codes it names."""
    for quoted in _QUOTED.findall(finding.detail):
        words = r"\s+".join(map(re.escape, quoted.split()))
        yield from (match.span() for match in re.finditer(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE))
    for code in {f"#{digits.lower()}" for digits in HEX_CODE.findall(finding.detail)}:
        yield from (match.span() for match in re.finditer(re.escape(code), text, re.IGNORECASE))


def _unfinished(text: str, finding: Finding) -> Iterator[tuple[int, int]]:
    if "comma" in finding.detail:
        place = text.rfind(",")
        yield place, place + 1
    elif "bracket" in finding.detail:
        yield from _lone_brackets(text)
    else:
        yield from _named(text, finding)


def _lone_brackets(text: str) -> Iterator[tuple[int, int]]:
    opened: list[int] = []
    for place, letter in enumerate(text):
        if letter == "(":
            opened.append(place)
        elif letter == ")" and opened:
            opened.pop()
        elif letter == ")":
            yield place, place + 1
    yield from ((place, place + 1) for place in opened)


def _beyond(text: str, finding: Finding) -> Iterator[tuple[int, int]]:
    limit = WINDOW if finding.code == f"over_{WINDOW}_tokens" else MOST_TOKENS
    yield len(text) - len(tokens.cut_after(text, limit)[1]), len(text)


def _doubled(text: str, _: Finding) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _DOUBLED.finditer(text))


def _strange(text: str, _: Finding) -> Iterator[tuple[int, int]]:
    yield from (
        (place, place + 1) for place, letter in enumerate(text.rstrip()) if not (letter.isascii() and letter >= " ")
    )


_SPECIAL = {
    "unfinished_phrase": _unfinished,
    f"over_{WINDOW}_tokens": _beyond,
    f"over_{MOST_TOKENS}_tokens": _beyond,
    "doubled_comma": _doubled,
    "bad_characters": _strange,
}
