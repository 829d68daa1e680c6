"""A pool of drawn punks with their captions, as arrays to learn from; several processes draw."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from punklab.diffusion.miniature import artist, grammar

_PORTION = 250
END = "<|endoftext|>"
LIMIT = 225
# How much an error in a part counts: eyes and lips are three or four cells of 576 and yet what people look at.
PART_WEIGHTS: Mapping[str, float] = {
    "background": 0.8,
    "eyes": 5.0,
    "lips": 5.0,
    "pupils": 3.0,
    "nose": 2.0,
    "jewellery": 3.0,
    "smoking": 2.5,
    "eyewear": 1.7,
    "headwear": 1.3,
    "facial_hair": 1.5,
}


@dataclass(frozen=True)
class Pool:
    """`cells` uint8 (n, 24, 24, 3), `labels` uint8 (n, 24, 24), `rows` int16 (n, 225) and `lengths` (n,) in tokens."""

    cells: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    rows: NDArray[np.int16]
    lengths: NDArray[np.int64]


def draw_pool(count: int, tokenizer: Any, seed: int, processes: int) -> Pool:
    """`count` random punks (rounded up to whole portions) with random wordings; the same seed gives the same pool."""
    seeds = [seed * 1_000_003 + number for number in range(-(-count // _PORTION))]
    definition = tokenizer.backend_tokenizer.to_str()
    if processes > 1:
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, initializer=_prepare, initargs=(definition,)) as workers:
            portions = workers.map(_draw_portion, seeds, chunksize=1)
    else:
        _prepare(definition)
        portions = [_draw_portion(seed) for seed in seeds]
    return Pool(*(np.concatenate(arrays) for arrays in zip(*portions, strict=True)))


_Portion = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int16], NDArray[np.int64]]
_reader: list[tuple[Tokenizer, int]] = []


def _prepare(definition: str) -> None:
    reader = Tokenizer.from_str(definition)
    _reader[:] = [(reader, reader.get_vocab()[END])]


def _draw_portion(seed: int) -> _Portion:
    reader, end = _reader[0]
    rng = random.Random(seed)
    punks = [artist.punk(rng) for _ in range(_PORTION)]
    captions = [grammar.caption(punk, grammar.random_wording(rng), rng) for punk in punks]
    ids = [encoded.ids for encoded in reader.encode_batch(captions, add_special_tokens=False)]
    rows = _padded(ids, end)
    lengths = np.array([len(each) for each in ids])
    return np.stack([punk.cells for punk in punks]), np.stack([punk.labels for punk in punks]), rows, lengths


def _padded(ids: Sequence[Sequence[int]], end: int) -> NDArray[np.int16]:
    rows = np.full((len(ids), LIMIT), end, dtype=np.int16)
    for row, each in zip(rows, ids, strict=True):
        row[: len(each)] = each[:LIMIT]
    return rows


def part_weights() -> NDArray[np.float32]:
    """The weight of each part's label, in the order of `artist.PARTS`."""
    return np.array([PART_WEIGHTS.get(part, 1.0) for part in artist.PARTS], dtype=np.float32)
