"""The miniature's CLIP tokenizer: whole words for the lab's vocabulary, one token for each digit of a colour code."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from punklab.diffusion.miniature import grammar, palette, shapes, traits

WINDOW = 77
_WORD = re.compile(r"[a-z]+")
_NIBBLES = frozenset("abcdef")
_PUNCTUATION = ("),", "(#", "#)")
# One token across a space, which merges cannot reach: codes in a row cost one token less, and most captions then fit.
_NEXT_CODE = ", #"
Pair = tuple[str, str]


def vocabulary_words() -> list[str]:
    """Every word that becomes one token: the lab's captions' and the artist's own; words of a-f alone stay spelled."""
    phrases = [*grammar.words(), *grammar.TRIGGER, *grammar.TAIL, *shapes.EARRINGS, *shapes.NECKLACES, *shapes.SMOKING]
    phrases += [*traits.BACKDROPS, *(name for table in palette.TABLES.values() for name in table)]
    phrases += [
        *grammar.phrases(),
        "portrait of bespoke punk lady lad",
        *shapes.LIPS,
        "palette",
        "gray",
        "blurry smooth",
    ]
    phrases += ["gradients antialiased photography realistic render full body character sprite"]
    found = {word for phrase in phrases for word in _WORD.findall(phrase)}
    return sorted(word for word in found if not set(word) <= _NIBBLES)


def train_merges(words: Iterable[str]) -> list[Pair]:
    """Byte-pair merges that make each word one token; a pair whose two sides are both of a-f never merges.

    So a colour code is always six tokens, whatever its digits.
    """
    spelled = {word: [*word[:-1], word[-1] + "</w>"] for word in words if len(word) > 1}
    merges: list[Pair] = []
    while pairs := _count_pairs(spelled.values()):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in spelled.items():
            if best[0] in parts:
                spelled[word] = _merge(parts, best)
    return merges


def _count_pairs(spellings: Iterable[list[str]]) -> Mapping[Pair, int]:
    pairs: Counter[Pair] = Counter()
    for parts in spellings:
        pairs.update(pair for pair in itertools.pairwise(parts) if not _two_nibbles(pair))
    return pairs


def _two_nibbles(pair: Pair) -> bool:
    return all(set(side.removesuffix("</w>")) <= _NIBBLES for side in pair)


def _merge(parts: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def build_tokenizer() -> Any:
    """A `CLIPTokenizer` of windows of 77 tokens; beginning, end and padding are the last two ids (padding is the end)."""
    from transformers import AddedToken, CLIPTokenizer

    merges = train_merges([*vocabulary_words(), *_PUNCTUATION])
    characters = [chr(number) for number in range(33, 127)]
    tokens = [*characters, *(character + "</w>" for character in characters), *(a + b for a, b in merges)]
    tokens = [*dict.fromkeys(tokens), _NEXT_CODE, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=WINDOW)
    tokenizer.add_tokens([AddedToken(_NEXT_CODE, normalized=False)])
    return tokenizer
