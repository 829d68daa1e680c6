"""How many tokens a caption has, and what a limit would cut, without torch and without a model hub."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

CLIP_MERGES = Path(__file__).parent / "clip" / "bpe_simple_vocab_16e6.txt.gz"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
N_MERGES = 48_894


class Vocabulary:
    """A CLIP-like tokenizer that counts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, without the two markers."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the two markers."""
        return [len(each.ids) for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def cut_after(self, text: str, limit: int) -> tuple[str, str]:
        """`text` in two: what its first `limit` tokens say, and what would be cut ("" when nothing is)."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= limit:
            return text, ""
        start = offsets[limit][0]
        return text[:start].rstrip(), text[start:]


@cache
def clip() -> Vocabulary:
    """The vocabulary of Stable Diffusion 1.5's text encoder, from the file that ships with the project."""
    with gzip.open(CLIP_MERGES, "rt", encoding="utf-8") as lines:
        next(lines)
        merges = [
            (left, right) for left, right in (line.split() for line, _ in zip(lines, range(N_MERGES), strict=False))
        ]
    letters = _byte_letters()
    entries = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *(left + right for left, right in merges),
        BEGIN,
        END,
    ]
    bpe = models.BPE(
        vocab={entry: i for i, entry in enumerate(entries)}, merges=merges, end_of_word_suffix="</w>", unk_token=END
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return Vocabulary(tokenizer)


def count(texts: Sequence[str]) -> list[int]:
    """CLIP tokens of each text, without the two markers."""
    return clip().count(texts)


def cut_after(text: str, limit: int) -> tuple[str, str]:
    """What a limit of `limit` CLIP tokens keeps of `text`, and what it cuts ("" when nothing)."""
    return clip().cut_after(text, limit)


def _byte_letters() -> list[str]:
    """One printable character for each of the 256 bytes, in the order of CLIP's vocabulary: those that are
    printable in Latin-1 stand for themselves and come first, the others are moved up beyond 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(others)]
