"""Where the parts of a punk lie, and how to tell what it wears: learned from portraits, used to read the next one."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punklab.pixels import presence
from punklab.pixels.portrait import INDEX, PARTS, SIDE, WORN, Portrait, Scene, readings, scene_of
from punklab.pixels.presence import Examples, Fit

Floats = NDArray[np.float64]

# What is told from features, and whether from their products too, which the many features of headwear are too many for;
# headwear is a hat, a headband or an ornament, and "hat" says whether the first.
FITTED = {"facial_hair": True, "eyewear": True, "earrings": True, "headwear": False, "hat": False}
HEADWEAR = ("hat", "ornament", "headband")
# A part may lie where it has not been seen: how likely, in the order of PARTS.
_UNSEEN = np.array([0.01, 0.01, 0.003, 0.001, 0.001, 0.004, 0.004, 0.003, 0.002, 0.002, 0.002, 0.004])
_LOW, _HIGH = 0.03, 0.95
# A learned prior counts the one it started from like this many portraits.
_INERTIA = 1000
_ROUNDS = 2
# How likely headwear must be to be read as a hat, or as an ornament: a mohawk looks much like one.
_HAT, _ORNAMENT = 0.5, 0.7


@dataclass(frozen=True)
class Example:
    """A portrait to learn from, (24, 24, 3) uint8, and what it is said to wear (of `WORN`)."""

    cells: NDArray[np.uint8]
    worn: frozenset[str]


@dataclass(frozen=True)
class Reading:
    """A portrait taken apart, and how likely facial hair, eyewear, headwear and earrings are worn."""

    portrait: Portrait
    worn: Mapping[str, float]


@dataclass(frozen=True)
class Prior:
    """`bare` (12, 24, 24): how likely each part is on each cell of a portrait that wears nothing; `worn` (6, 24, 24) the
    same of each of `WORN` in portraits that wear it; `fits` tell whether they do. A prior that others start from keeps
    the `examples` of its fits."""

    bare: Floats
    worn: Floats
    fits: Mapping[str, Fit]
    examples: Mapping[str, Examples]

    def read(self, scene: Scene) -> Reading:
        """Take a portrait apart: bare, with an ornament or headband, with a hat; the likeliest reading stays."""
        offset = presence.from_skin(scene.palette)
        seen = {
            "eyewear": self.fits["eyewear"].probability(presence.eyewear(offset)),
            "facial_hair": self.fits["facial_hair"].probability(presence.facial_hair(offset)),
            "earrings": self.fits["earrings"].probability(presence.earrings(offset)),
        }
        bare, adorned, hatted = self.readings(scene, seen)
        features = presence.headwear(bare, adorned, hatted, offset)
        seen["headwear"] = self.fits["headwear"].probability(features)
        is_hat = self.fits["hat"].probability(features) >= 0.5
        if seen["headwear"] < (_HAT if is_hat else _ORNAMENT):
            return Reading(bare, seen)
        return Reading(hatted if is_hat else adorned, seen)

    def readings(self, scene: Scene, seen: Mapping[str, float]) -> tuple[Portrait, Portrait, Portrait]:
        """Bare, with an ornament or a headband, and with a hat, of a portrait that wears the rest so likely."""
        bare, *others = readings(scene, self.where(seen, *({**seen, kind: _HIGH} for kind in HEADWEAR)))
        hatted, *adorned = others
        return bare, max(adorned, key=lambda reading: reading.likelihood), hatted

    def where(self, *worn: Mapping[str, float]) -> Floats:
        """How likely each part is on each cell of portraits that wear `WORN` so likely, else hardly: (n, 12, 24, 24)."""
        chances = np.array([[each.get(kind, 0) for kind in WORN] for each in worn], dtype=self.worn.dtype)
        likely = self.worn * chances.clip(_LOW, _HIGH)[..., None, None]
        spared = 1 - likely
        # What is worn is painted in the order of `WORN`, the last over the others.
        uncovered: Floats = np.ones((len(worn), SIDE, SIDE), dtype=self.worn.dtype)
        painted = []
        for place, part in reversed(list(enumerate(WORN.values()))):
            painted.append((INDEX[part], likely[:, place] * uncovered))
            uncovered = uncovered * spared[:, place]
        where: Floats = self.bare * uncovered[:, None]
        for index, layer in painted:
            where[:, index] += layer
        return where

    def to_bytes(self) -> bytes:
        """The prior as a compressed NPZ: some 30 KB, and 80 KB of examples where it keeps them."""
        arrays: dict[str, NDArray[np.generic]] = {
            "bare": self.bare.astype(np.float16),
            "worn": self.worn.astype(np.float16),
        }
        for kind, found in self.fits.items():
            arrays[f"features_{kind}"] = np.stack([found.mean, found.spread])
            arrays[f"weights_{kind}"] = found.weights
        for kind, seen in self.examples.items():
            arrays[f"examples_{kind}"] = seen.features.astype(np.float16)
            arrays[f"worn_{kind}"] = seen.worn
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Prior:
        """What `to_bytes` wrote. Raises ValueError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                fits = {}
                for kind in FITTED:
                    mean, spread = arrays[f"features_{kind}"]
                    fits[kind] = Fit(mean, spread, arrays[f"weights_{kind}"])
                examples = {
                    kind: Examples(arrays[f"examples_{kind}"], arrays[f"worn_{kind}"])
                    for kind in FITTED
                    if f"examples_{kind}" in arrays
                }
                return cls(arrays["bare"].astype(np.float32), arrays["worn"].astype(np.float32), fits, examples)
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"not a prior of portraits: {error}") from error


def learn(examples: Sequence[Example], start: Prior) -> Prior:
    """The prior of these portraits, starting from another: they are read with it, and what is found is counted."""
    prior = start
    for _ in range(_ROUNDS):
        prior = Prior(*_counted(examples, prior, start), {}, {})
    own = _examples(examples, prior)
    fits = {kind: presence.fit(own[kind], start.examples.get(kind), paired=paired) for kind, paired in FITTED.items()}
    return Prior(prior.bare, prior.worn, fits, {})


def learn_from_labels(examples: Sequence[Example], labels: Sequence[NDArray[np.intp]]) -> Prior:
    """The prior of portraits whose parts are known: `labels` (24, 24) of each index `PARTS`."""
    stack = np.stack(labels)
    counts = np.stack([(stack == index).sum(axis=0) for index in range(len(PARTS))]).astype(float)
    worn = []
    for kind, part in WORN.items():
        wearing = np.array([kind in example.worn for example in examples])
        worn.append((stack[wearing] == INDEX[part]).mean(axis=0) if wearing.any() else np.zeros((SIDE, SIDE)))
    bare, smooth = _smooth(counts, np.stack(worn))
    own = _examples(examples, Prior(bare, smooth, {}, {}))
    fits = {kind: presence.fit(own[kind], paired=paired) for kind, paired in FITTED.items()}
    return Prior(bare, smooth, fits, own)


def _counted(examples: Sequence[Example], prior: Prior, start: Prior) -> tuple[Floats, Floats]:
    bare = start.bare * _INERTIA
    worn, n_worn = start.worn * (_INERTIA / 2), np.full(len(WORN), _INERTIA / 2)
    for example in examples:
        (portrait,) = readings(scene_of(example.cells), prior.where(dict.fromkeys(example.worn, _HIGH)))
        labels = portrait.labels
        for index in range(len(PARTS)):
            bare[index] += labels == index
        for place, (kind, part) in enumerate(WORN.items()):
            if kind in example.worn:
                worn[place] += labels == INDEX[part]
                n_worn[place] += 1
    return _smooth(bare, worn / n_worn[:, None, None])


def _smooth(bare: Floats, worn: Floats) -> tuple[Floats, Floats]:
    """Counts to probabilities, each part spread a little to its neighbours; what is worn is left out of `bare`."""
    bare = bare.copy()
    parts = list(WORN.values())
    for part in parts:
        bare[INDEX[part]] = 0
    bare = _spread(bare / np.maximum(bare.sum(axis=0), 1e-9)) + _UNSEEN[:, None, None]
    for part in parts:
        bare[INDEX[part]] = 0
    unseen = np.array([_UNSEEN[INDEX[part]] for part in parts])
    return bare / bare.sum(axis=0), np.clip(_spread(worn) * 0.97 + unseen[:, None, None], 0, 0.97)


def _spread(maps: Floats) -> Floats:
    around = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    sides = around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
    spread: Floats = (4 * maps + sides) / 8
    return spread


def _examples(portraits: Sequence[Example], prior: Prior) -> dict[str, Examples]:
    """The features of portraits read with the prior, for each kind, and what they are said to wear."""
    features: dict[str, list[Floats]] = defaultdict(list)
    for portrait in portraits:
        scene = scene_of(portrait.cells)
        offset = presence.from_skin(scene.palette)
        said = dict.fromkeys(portrait.worn - set(HEADWEAR), _HIGH)
        features["eyewear"].append(presence.eyewear(offset))
        features["facial_hair"].append(presence.facial_hair(offset))
        features["earrings"].append(presence.earrings(offset))
        features["headwear"].append(presence.headwear(*prior.readings(scene, said), offset))
    table = {kind: np.array(each) for kind, each in features.items()}
    worn = {kind: np.array([kind in portrait.worn for portrait in portraits]) for kind in WORN}
    headwear = np.logical_or.reduce([worn[kind] for kind in HEADWEAR])
    return {
        **{kind: Examples(table[kind], worn[kind]) for kind in ("facial_hair", "eyewear", "earrings")},
        "headwear": Examples(table["headwear"], headwear),
        "hat": Examples(table["headwear"][headwear], worn["hat"][headwear]),
    }
