"""Words that look mistyped: one edit away from a word that the same captions use far more often."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from punklab.diffusion import tokens

SHORTEST = 4
# How much commoner the other word must be, and how often it must stand there at least.
TIMES, AT_LEAST = 3, 3
_WORD = re.compile(r"(?<![#\w])[a-z]+(?!\w)")
# Endings that make another form of a word, not another word: "curl", "curls", "curled".
_ENDINGS = ("s", "d", "r", "y", "n")


def words_of(text: str) -> list[str]:
    """The words of a caption in lower case, without colour codes and whatever has a digit in it."""
    return _WORD.findall(text.lower())


def likely_typos(texts: Iterable[str]) -> dict[str, tuple[str, int]]:
    """For each word that is probably mistyped, the word meant and how often that stands in the captions.

    A word of its own in CLIP's vocabulary is no typo, and neither is another form of the common word. Neighbours are
    found through deletions, so the cost grows with the number of different words, not with its square.
    """
    return mistyped(count_words(texts))


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word stands in the captions; the shortest are left out."""
    return Counter(word for text in texts for word in words_of(text) if len(word) >= SHORTEST - 1)


def mistyped(counts: Counter[str], among: Collection[str] | None = None) -> dict[str, tuple[str, int]]:
    """The same from the counts, and of the words `among` alone where they are given."""
    common = {word: count for word, count in counts.items() if count >= AT_LEAST}
    rare = [word for word in (counts if among is None else among) if len(word) >= SHORTEST]
    if not common or not rare:
        return {}
    lengths = dict(zip(rare, tokens.count(rare), strict=True))
    index = _deletions(common)
    typos = {}
    for word in rare:
        if lengths[word] > 1 and (meant := _meant(word, counts, index)):
            typos[word] = (meant, counts[meant])
    return typos


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one letter more, fewer or other, or two neighbours swapped, makes one word of the other."""
    if len(one) > len(other):
        one, other = other, one
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(other) - len(one) == 1:
        return one[start:] == other[start + 1 :]
    if len(one) != len(other) or one == other:
        return False
    swapped = one[start : start + 2][::-1] == other[start : start + 2] and one[start + 2 :] == other[start + 2 :]
    return one[start + 1 :] == other[start + 1 :] or swapped


def _deletions(words: Iterable[str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for word in words:
        for form in _forms(word):
            index[form].append(word)
    return index


def _forms(word: str) -> set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _meant(word: str, counts: Counter[str], index: dict[str, list[str]]) -> str | None:
    near = {other for form in _forms(word) for other in index.get(form, ())}
    likely = [
        other
        for other in near
        if counts[other] >= TIMES * counts[word] and one_edit_apart(word, other) and not _same_word(word, other)
    ]
    return max(likely, key=lambda other: (counts[other], other), default=None)


def _same_word(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return any(shorter + ending == longer for ending in _ENDINGS)
