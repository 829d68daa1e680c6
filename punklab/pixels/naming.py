"""Colour words: what people call a colour, and whether they let it pass for a word.

Naming is soft: a colour between two words is a little of both, so an answer comes with how sure it is. `part` is a
part of a punk whose colours have words of their own: a "blonde" hair is no "yellow" background.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from punklab.pixels.colour import Rgb, parse_hex, to_din99o, to_lab
from punklab.pixels.colour_words import NOT_OF, PASSES_FOR, PASSES_FOR_OF, SAID, SAID_OF, SEEN, SEEN_OF

# DIN99o by which a prototype may be further than the nearest before its word has lost half its say, twice over.
_SOFT = 3.0
_BEST = 0.55


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words for one part's colours: prototypes (n, 3) in DIN99o in the order of their words with their
    squared lengths, the place of each word's first, the words a caption may use besides, and what each word passes for."""

    words: tuple[str, ...]
    points: NDArray[np.float64]
    squares: NDArray[np.float64]
    first: NDArray[np.intp]
    said: Mapping[str, str]
    passes: Mapping[str, frozenset[str]]

    @lru_cache(maxsize=4096)  # noqa: B019 - vocabularies are few and live as long as the process
    def known(self, word: str) -> str | None:
        """The word of the table that stands for a caption's colour words ("ashy blonde"); None when unknown."""
        words = word.lower().replace("grey", "gray").split()
        for start in range(len(words)):
            rest = " ".join(words[start:])
            if rest in self.said or rest in self.passes:
                return self.said.get(rest, rest)
        return None

    def shares(self, rgb: ArrayLike) -> NDArray[np.float64]:
        """How much each word names colours (..., 3): shape (..., words), summing to 1."""
        return self.shares_at(to_din99o(to_lab(rgb)))

    def shares_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of colours in DIN99o."""
        # |a - b|² without the |a|², which is the same for all prototypes and is added after the smallest are found.
        partial = np.minimum.reduceat(self.squares - 2 * points @ self.points.T, self.first, axis=-1)
        nearest = np.sqrt(np.maximum(partial + (points**2).sum(axis=-1, keepdims=True), 0))
        further = (nearest - nearest.min(axis=-1, keepdims=True)) / _SOFT
        weight = np.exp2(-further * (further + 1))
        shares: NDArray[np.float64] = weight / weight.sum(axis=-1, keepdims=True)
        return shares

    def word(self, rgb: ArrayLike) -> str:
        """The word that names one colour best."""
        return self.words[int(self.shares(rgb).argmax())]

    @lru_cache(maxsize=1024)  # noqa: B019
    def named(self, code: str) -> str:
        """The word that names a colour code best. Raises ValueError for what is none."""
        return self.word(parse_hex(code))

    def passing(self, shares: NDArray[np.float64], asked: Iterable[str]) -> NDArray[np.float64]:
        """How sure it is that people let colours pass for one of the words, by what `shares` says of them: 0 to 1.

        From 0.5 on they pass: when most of the words that name a colour do, or the one that names it best. Unknown words
        pass for nothing.
        """
        best = shares.argmax(axis=-1)
        passing: NDArray[np.float64] = np.zeros(best.shape)
        for word in asked:
            accepted = self._accepted(word)
            share = shares @ accepted
            passing = np.maximum(passing, np.where(accepted[best], np.maximum(share, _BEST), share))
        return passing

    @lru_cache(maxsize=1024)  # noqa: B019
    def _accepted(self, word: str) -> NDArray[np.bool_]:
        """Which words' colours pass for one; none for an unknown word."""
        known = self.known(word)
        if known is None:
            return np.zeros(len(self.words), dtype=bool)
        asked = {known, known.split()[-1]} | ({word.lower().split()[-1]} & {"lime", "copper"})
        return np.array([bool(asked & self.passes[seen]) or seen in self.passes[known] for seen in self.words])


def vocabulary(part: str = "") -> Vocabulary:
    """The words for a part's colours as they ship; any other name than hair, skin and lips gives the general ones."""
    return _built_in(part if part in SEEN_OF else "")


def with_measured(part: str, measured: Mapping[str, Iterable[str]]) -> Vocabulary:
    """The words for a part's colours, with prototypes (hex codes) measured in pictures besides."""
    plain = vocabulary(part)
    added = {word: tuple(codes) for word, codes in measured.items() if word in plain.passes}
    return _vocabulary(_seen(part), added, plain.said, plain.passes) if added else plain


def colour_word(rgb: ArrayLike, part: str = "") -> str:
    """The everyday word for one colour, such as "salmon" or "dark green"."""
    return vocabulary(part).word(rgb)


def passes_for(rgb: ArrayLike, word: str, part: str = "") -> bool:
    """Whether people would let one colour pass for what the word asks; modifiers are not judged.

    False for an unknown word.
    """
    words = vocabulary(part)
    return bool(words.passing(words.shares(rgb), (word,)) >= 0.5)


def word_prototypes(word: str, part: str = "") -> list[Rgb]:
    """What a colour word looks like, a few examples; empty when the word is unknown.

    A modifier that the table does not know with the word ("bright green") is left out.
    """
    known = vocabulary(part).known(word)
    return [parse_hex(code) for code in _seen(part)[known].split()] if known else []


def word_families(word: str) -> frozenset[str]:
    """The plain colours that a word passes for, "sea green" for green and teal; empty when the word is unknown."""
    known = vocabulary().known(word)
    return vocabulary().passes[known] - {known} | {known.split()[-1]} if known else frozenset()


def _seen(part: str) -> dict[str, str]:
    kept = {word: codes for word, codes in SEEN.items() if word not in NOT_OF.get(part, ())}
    return {**kept, **SEEN_OF.get(part, {})}


@lru_cache(maxsize=8)
def _built_in(part: str) -> Vocabulary:
    seen = _seen(part)
    also = {**PASSES_FOR, **PASSES_FOR_OF.get(part, {})}
    passes = {word: frozenset({word, word.split()[-1], *also.get(word, ())}) for word in seen}
    said = {word: meant for word, meant in {**SAID, **SAID_OF.get(part, {})}.items() if meant in seen}
    return _vocabulary(seen, {}, said, passes)


def _vocabulary(
    seen: Mapping[str, str],
    added: Mapping[str, tuple[str, ...]],
    said: Mapping[str, str],
    passes: Mapping[str, frozenset[str]],
) -> Vocabulary:
    codes = [(*seen[word].split(), *added.get(word, ())) for word in seen]
    points = to_din99o(to_lab([parse_hex(code) for each in codes for code in each]))
    first = np.cumsum([0, *map(len, codes[:-1])])
    return Vocabulary(tuple(seen), points, (points**2).sum(axis=1), first, said, passes)
