"""What a set of training images teaches: how punks look, what its words mean, which pictures must not come back."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from punklab.pixels import asked, prior
from punklab.pixels.colour import format_hex, to_din99o, to_lab
from punklab.pixels.copies import CopyIndex
from punklab.pixels.naming import Vocabulary, with_measured
from punklab.pixels.palette import Palette, merged_palette
from punklab.pixels.parts import main_colour
from punklab.pixels.portrait import WORN, Portrait, scene_of
from punklab.pixels.prior import Example, Prior

Cells = NDArray[np.uint8]

FORMAT = 1
BANDS = ("colours", "isolated_share", "outline_share")
_PARTS = ("background", "hair", "skin", "eyes")
FEWEST = 20  # pictures before bands and a prior are learned from them
# A word's prototypes: at most so many, each named so by at least two pictures, none further from those that ship.
_PROTOTYPES, _FEWEST_NAMED, _PLAUSIBLE = 3, 2, 18.0
_ONE_COLOUR = 0.75


@dataclass(frozen=True)
class Band:
    """The 5th and 95th percentile of a measure in a collection."""

    low: float
    high: float

    def place(self, value: float) -> str:
        """Whether a value lies "inside", "below" or "above" the band."""
        return "below" if value < self.low else "above" if value > self.high else "inside"


@dataclass(frozen=True)
class Collection:
    """Learned from training images: `prior`, `bands` by name (`BANDS`), `measured` colours by part and word, and the
    images themselves with their `names`, empty where only what was learned is at hand."""

    prior: Prior
    bands: Mapping[str, Band]
    measured: Mapping[str, Mapping[str, Sequence[str]]]
    names: tuple[str, ...] = ()
    cells: Cells = field(default_factory=lambda: np.zeros((0, 24, 24, 3), dtype=np.uint8))

    @cached_property
    def copies(self) -> CopyIndex:
        """The training images to search."""
        return CopyIndex(self.cells)

    def words(self, part: str) -> Vocabulary:
        """The colour words for a part, with prototypes measured in the images."""
        return self._vocabularies[part if part in self._vocabularies else ""]

    def to_bytes(self) -> bytes:
        """The collection as a compressed NPZ: some 10 KB and about 0.7 KB an image."""
        told = {
            "format": FORMAT,
            "bands": {name: [band.low, band.high] for name, band in self.bands.items()},
            "measured": {
                part: {word: list(codes) for word, codes in words.items()} for part, words in self.measured.items()
            },
            "names": list(self.names),
        }
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            told=np.frombuffer(json.dumps(told).encode(), dtype=np.uint8),
            prior=np.frombuffer(self.prior.to_bytes(), dtype=np.uint8),
            cells=self.cells,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Collection:
        """What `to_bytes` wrote. Raises ValueError for anything else, an older format included."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                told = json.loads(arrays["told"].tobytes())
                if told["format"] != FORMAT:
                    raise ValueError(f"its format is {told['format']}, not {FORMAT}")
                return cls(
                    Prior.from_bytes(arrays["prior"].tobytes()),
                    {name: Band(*ends) for name, ends in told["bands"].items()},
                    told["measured"],
                    tuple(told["names"]),
                    arrays["cells"],
                )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a collection: {error}") from error

    @cached_property
    def _vocabularies(self) -> dict[str, Vocabulary]:
        parts = ("", "background", "hair", "skin", "eyes", "lips")
        return {part: with_measured(part, self.measured.get(part, {})) for part in parts}


@lru_cache(maxsize=1)
def shipped() -> Collection:
    """What was learned from the lab's collection, without its pictures: used where no caption version is at hand."""
    return Collection.from_bytes(resources.files("punklab.pixels").joinpath("collection.npz").read_bytes())


def learn(pairs: Sequence[tuple[str, str, Cells]], start: Collection | None = None) -> Collection:
    """The collection of (name, caption, cells) triples; of fewer than 20 pictures only the pictures are kept.

    What captions say is worn and how they call colours is taken from their words.
    """
    start = start or shipped()
    cells = np.stack([each for _, _, each in pairs]) if pairs else start.cells[:0]
    names = tuple(name for name, _, _ in pairs)
    if len(pairs) < FEWEST:
        return Collection(start.prior, start.bands, start.measured, names, cells)
    examples = [Example(image, asked.kinds_named(caption) & WORN.keys()) for _, caption, image in pairs]
    learned = prior.learn(examples, start.prior)
    portraits = [learned.read(scene_of(image)).portrait for image in cells]
    captions = [caption for _, caption, _ in pairs]
    return Collection(learned, _bands(portraits), _measured(captions, portraits), names, cells)


def isolated_share(palette: Palette) -> float:
    """The share of cells, 0 to 1, that have none of their four neighbours in their own (merged) colour."""
    which = palette.which
    down, right = which[1:] == which[:-1], which[:, 1:] == which[:, :-1]
    joined = np.zeros(which.shape, dtype=bool)
    joined[1:] |= down
    joined[:-1] |= down
    joined[:, 1:] |= right
    joined[:, :-1] |= right
    return 1 - np.count_nonzero(joined) / joined.size


def outline_share(portrait: Portrait) -> float:
    """The share of cells, 0 to 1, that are outline."""
    outline = portrait.mask("outline")
    return np.count_nonzero(outline) / outline.size


def _bands(portraits: Sequence[Portrait]) -> dict[str, Band]:
    palettes = [portrait.scene.palette for portrait in portraits]
    values: dict[str, list[float]] = {
        "colours": [len(palette.colours) for palette in palettes],
        "isolated_share": [isolated_share(palette) for palette in palettes],
        "outline_share": [outline_share(portrait) for portrait in portraits],
    }
    return {name: Band(*(float(end) for end in np.percentile(each, (5, 95)))) for name, each in values.items()}


def _measured(captions: Sequence[str], portraits: Sequence[Portrait]) -> dict[str, dict[str, list[str]]]:
    """For each part and colour word, the colours that pictures have whose captions say just that word of it."""
    seen: dict[str, dict[str, list[Cells]]] = {part: defaultdict(list) for part in _PARTS}
    for caption, portrait in zip(captions, portraits, strict=True):
        wanted = asked.asked(caption)
        for part in _PARTS:
            said = wanted.get(part)
            if said is None or said.pattern or len({word.split()[-1] for word in said.words}) != 1:
                continue
            main = main_colour(portrait, portrait.mask(part))
            if main is not None and main.share >= (_ONE_COLOUR if part == "background" else 0):
                seen[part][said.words[0]].append(main.colour)
    return {part: _prototypes(part, words) for part, words in seen.items()}


def _prototypes(part: str, words: Mapping[str, Sequence[Cells]]) -> dict[str, list[str]]:
    plain = with_measured(part, {})
    by_known: dict[str, list[Cells]] = defaultdict(list)
    for word, colours in words.items():
        if known := plain.known(word):
            by_known[known] += colours
    found = {}
    for known, colours in by_known.items():
        place = plain.words.index(known)
        own = np.split(plain.points, plain.first[1:])[place]
        points = to_din99o(to_lab(np.stack(colours)))
        near = np.sqrt(((points[:, None] - own) ** 2).sum(axis=-1)).min(axis=1) < _PLAUSIBLE
        kept = np.stack(colours)[near]
        if len(kept) >= _FEWEST_NAMED:
            palette = merged_palette(kept[None], _PLAUSIBLE / 2)
            common = np.argsort(-palette.sizes, kind="stable")[:_PROTOTYPES]
            found[known] = [format_hex(palette.colours[place]) for place in common]
    return found
