"""Changes to many captions: a search and replace, and the fixes that cannot change what a caption says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

import regex

from punklab.pixels.colour import HEX_CODE
from runs.caption_checks import TRIGGER_PHRASE
from runs.caption_edits import Change
from runs.caption_states import State

_SECONDS = 2.0  # for one search in all captions
_LEAD = re.compile(r"\s*pixel art, 24x24,\s*", re.IGNORECASE)


class SearchError(ValueError):
    """A search that cannot be carried out; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to look for and what to put in its place."""

    find: str
    replacement: str
    whole_words: bool = False
    is_regex: bool = False
    match_case: bool = False


def replaced(found: Iterable[State], search: Search) -> list[Change]:
    """The change in each caption in which the search finds something.

    Raises SearchError for an expression that cannot be read, takes too long, or would empty a caption.
    """
    pattern = _pattern(search)
    replacement = search.replacement if search.is_regex else lambda _: search.replacement
    changes = []
    deadline = monotonic() + _SECONDS
    for state in found:
        try:
            after, times = pattern.subn(replacement, state.text, timeout=max(deadline - monotonic(), 0.001))
        except TimeoutError as error:
            raise SearchError(f"The search took longer than {_SECONDS:.0f} s: write a simpler expression.") from error
        except (regex.error, IndexError, ValueError) as error:
            raise SearchError(f"The replacement cannot be used: {error}.") from error
        if not after.strip() and times:
            raise SearchError(f"This would leave nothing of {state.stem}: a caption may not be empty.")
        if after != state.text:
            why = f"{times} place{'s' if times > 1 else ''}"
            changes.append(Change(stem=state.stem, number=state.number, before=state.text, after=after, why=why))
    return changes


def safe_fixes(found: Iterable[State]) -> list[Change]:
    """The change that mends what can be mended without changing what a caption says, for each caption that needs one."""
    changes = []
    for state in found:
        text, done = state.text, []
        for words, fix in _FIXES:
            mended = fix(text, state.stem)
            if mended != text:
                text = mended
                done.append(words)
        if done and text.strip():
            why = ", ".join(done)
            changes.append(Change(stem=state.stem, number=state.number, before=state.text, after=text, why=why))
    return changes


def _pattern(search: Search) -> regex.Pattern[str]:
    if not search.find:
        raise SearchError("Say what to look for.")
    if "\0" in search.find + search.replacement:
        raise SearchError("There is a zero byte in what you typed: type it again without.")
    words = search.find if search.is_regex else regex.escape(search.find)
    if search.whole_words:
        words = rf"(?<!\w)(?:{words})(?!\w)"
    try:
        return regex.compile(words, 0 if search.match_case else regex.IGNORECASE)
    except regex.error as error:
        raise SearchError(f"{search.find!r} is no regular expression that can be read: {error}.") from error


def _plain_spaces(text: str, _: str) -> str:
    """No-break and other wide spaces as plain ones, characters of no width gone."""
    kept = (letter for letter in text if letter.isascii() or unicodedata.category(letter) != "Cf")
    return "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in kept)


def _single_spaces(text: str, _: str) -> str:
    return re.sub(r"(?<=\S) {2,}(?=\S)", " ", re.sub(r"(?<=\S) +(?=,)", "", text))


def _single_commas(text: str, _: str) -> str:
    return re.sub(r",(?:\s*,)+", ",", text)


def _no_comma_at_the_end(text: str, _: str) -> str:
    return re.sub(r"[,\s]*,\s*\Z", "", text)


def _lower_codes(text: str, _: str) -> str:
    return HEX_CODE.sub(lambda match: match.group().lower(), text)


def _trigger_phrase(text: str, stem: str) -> str:
    if TRIGGER_PHRASE in " ".join(text.lower().split()):
        return text
    who = next((f" {word}" for word in ("lady", "lad") if stem.lower().startswith(f"{word}_")), "")
    lead = _LEAD.match(text)
    place = lead.end() if lead else 0
    return f"{text[:place]}{TRIGGER_PHRASE}{who}, {text[place:]}"


_FIXES: tuple[tuple[str, Callable[[str, str], str]], ...] = (
    ("plain spaces", _plain_spaces),
    ("doubled commas", _single_commas),
    ("spaces", _single_spaces),
    ("comma at the end", _no_comma_at_the_end),
    ("colour codes in lower case", _lower_codes),
    ("trigger phrase", _trigger_phrase),
)
