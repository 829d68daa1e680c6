"""What the procedural artist's punks teach about portraits: the start from which a collection is learned."""

from __future__ import annotations

import random

import numpy as np

from punklab.diffusion.miniature import artist, shapes
from punklab.diffusion.miniature.traits import Traits
from punklab.pixels.portrait import INDEX
from punklab.pixels.prior import Example, Prior, learn_from_labels

N_PUNKS = 1500
# The artist's parts in the words of `punklab.pixels.portrait`, where they differ.
_SEEN_AS = {"wings": "other", "smoking": "other", "pupils": "outline", "nose": "outline"}
_BANDS = ("headband", "bandana")
_PART = np.array([INDEX[_SEEN_AS.get(part, part)] for part in artist.PARTS])


def prior_of_the_artist(n_punks: int = N_PUNKS, seed: int = 0) -> Prior:
    """The prior of random punks whose parts are known; the same numbers give the same prior."""
    rng = random.Random(seed)
    punks = [artist.punk(rng) for _ in range(n_punks)]
    examples = [Example(punk.cells, worn_by(punk.traits)) for punk in punks]
    return learn_from_labels(examples, [_PART[punk.labels] for punk in punks])


def worn_by(traits: Traits) -> frozenset[str]:
    """Which of `punklab.pixels.portrait.WORN` a punk of these traits wears."""
    kind = traits.headwear.kind if traits.headwear else ""
    worn = {
        "hat": kind in shapes.CLOSED_HATS,
        "headband": kind in _BANDS,
        "ornament": kind and kind not in shapes.CLOSED_HATS and kind not in _BANDS,
        "eyewear": traits.eyewear,
        "facial_hair": traits.facial_hair,
        "earrings": traits.earrings,
    }
    return frozenset(kind for kind, item in worn.items() if item)
