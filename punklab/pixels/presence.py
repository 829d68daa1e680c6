"""Whether a punk wears a hat, glasses, a beard or earrings: logistic fits over what differs where they would be.

Each kind has a few features that a person would look at too: cells around the eyes that are not skin, a jaw unlike the
cheeks, single bright cells beside it; for a hat, whether the picture is better explained with one than without, how
unlike hat and hair are, and a brim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.palette import Palette
from punklab.pixels.portrait import Portrait

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Places = tuple[tuple[int, ...], tuple[int, ...]]

_CAP = 30.0  # DIN99o; further apart is only "other"
_SKIN = 7.0  # DIN99o; nearer than this to the cheeks is skin
_STEPS, _SETTLED = 60, 1e-4
_RIDGE = {False: 2.0, True: 10.0}  # without and with products
# What an example of the start counts beside one of the collection's own.
_OF_START = 0.25
_FAR = 4.0  # spreads; further is only far
_FLAT = 1.5  # DIN99o; neighbours nearer than this are one colour


def _places(*rows: tuple[int, Sequence[int]]) -> Places:
    """Cells of the template as an index into an array of them: rows with their columns."""
    pairs = [(row, column) for row, columns in rows for column in columns]
    return tuple(row for row, _ in pairs), tuple(column for _, column in pairs)


# Skin in nearly every face: forehead cells that bangs seldom reach, cheeks below glasses and above beards.
_CHEEKS = _places((9, [11, 12, 13]), (10, [11, 12, 13]), (14, range(9, 15)), (15, [9, 10, 11, 13, 14]))
_AROUND_EYES = _places(
    (9, [12]), (10, [9, 10, 14]), (11, [8, 11, 12, 13]), (12, [8, 11, 12, 13]), (13, [9, 10, 14, 15])
)
_JAW = _places((16, [9, 14]), (17, [9, 10, 14]), (18, range(9, 14)), (19, [11, 12]))
_ABOVE_LIPS = _places((16, range(10, 14)))
_EARS, _LEFT, _RIGHT = slice(12, 18), slice(5, 8), slice(16, 19)
_BEFORE, _AFTER = np.arange(-1, 23), np.arange(1, 25) % 24


@dataclass(frozen=True)
class Examples:
    """What a kind's fit learns from: features (n, m), and whether each example wears it, (n,)."""

    features: NDArray[np.floating]
    worn: NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """A fitted kind: the mean and spread of its features, and their weights (and of their products in pairs) with the
    offset last."""

    mean: Floats
    spread: Floats
    weights: Floats

    def probability(self, features: Floats) -> float:
        """How likely it is worn, 0 to 1."""
        alike = np.clip((features - self.mean) / self.spread, -_FAR, _FAR)
        score = float(alike @ self._single + alike @ self._paired @ alike + self.weights[-1])
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))

    @cached_property
    def _single(self) -> Floats:
        return self.weights[: len(self.mean)]

    @cached_property
    def _paired(self) -> Floats:
        """The weights of the products as a triangular matrix; zeros where there are none."""
        n_features = len(self.mean)
        paired = np.zeros((n_features, n_features))
        if len(self.weights) > n_features + 1:
            paired[_pairs(n_features)] = self.weights[n_features:-1]
        return paired


def fit(examples: Examples, start: Examples | None = None, *, paired: bool) -> Fit:
    """A logistic regression by Newton's method, on the features or (`paired`) on their products too.

    Where there is a `start`, it is learned from along with the examples, each of it counting less.
    """
    parts = [part for part in (start, examples) if part is not None]
    table = np.concatenate([part.features for part in parts]).astype(float)
    wanted = np.concatenate([part.worn for part in parts]).astype(float)
    counts = np.concatenate([np.full(len(part.worn), _OF_START if part is start else 1.0) for part in parts])
    mean, spread = table.mean(axis=0), table.std(axis=0) + 1e-6
    design = _design(table, mean, spread, paired)
    ridge = np.full(design.shape[1], _RIDGE[paired])
    ridge[-1] = 1e-2
    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        gradient = design.T @ (counts * (likely - wanted)) + ridge * found
        curvature = (design * (counts * likely * (1 - likely))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        found = found - step * min(1.0, 1 / float(np.abs(step).max()))  # a full step from afar would overshoot
        if np.abs(step).max() < _SETTLED:
            break
    return Fit(mean, spread, found)


def _design(features: Floats, mean: Floats, spread: Floats, paired: bool) -> Floats:
    """Features (..., n) made alike, their products in pairs where one may say what another means, and a one."""
    alike = np.clip((features - mean) / spread, -_FAR, _FAR)
    columns = [alike, np.ones((*alike.shape[:-1], 1))]
    if paired:
        first, second = _pairs(alike.shape[-1])
        columns.insert(1, alike[..., first] * alike[..., second])
    return np.concatenate(columns, axis=-1)


@lru_cache(maxsize=8)
def _pairs(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(n_features)
    return first, second


def from_skin(palette: Palette) -> Floats:
    """Each cell's offset from the commonest colour of cheeks and forehead, (24, 24, 3) DIN99o."""
    seen = palette.which[_CHEEKS]
    skin = palette.points[np.bincount(seen, minlength=len(palette.points)).argmax()]
    offset: Floats = palette.points[palette.which] - skin
    return offset


def eyewear(offset: Floats) -> Floats:
    """How unlike skin the cells around the eyes are."""
    return np.minimum(_length(offset[_AROUND_EYES]), _CAP)


def facial_hair(offset: Floats) -> Floats:
    """How unlike the cheeks, and how much darker, jaw and upper lip are."""
    jaw, lip = np.minimum(_length(offset[_JAW]), _CAP), np.minimum(_length(offset[_ABOVE_LIPS]), _CAP)
    return np.array(
        [
            *(jaw.sum() / jaw.size, lip.sum() / lip.size),
            *(np.count_nonzero(jaw > 5) / jaw.size, np.count_nonzero(lip > 5) / lip.size),
            *(_middle(offset[_JAW][:, 0]), _middle(offset[_ABOVE_LIPS][:, 0])),
        ]
    )


def earrings(offset: Floats) -> Floats:
    """How far single cells beside the jaw stand out from their neighbours, the lighter ones for themselves."""
    here = offset[_EARS]
    sides = np.stack([offset[11:17], offset[13:19], offset[_EARS, _BEFORE], offset[_EARS, _AFTER]])
    second = np.partition(_length(here - sides), 1, axis=0)[1]
    apart = np.minimum(np.minimum(second, _length(here)), _CAP)
    lightness = np.partition(sides[..., 0], (1, 2), axis=0)[1:3].sum(axis=0) / 2
    lighter = np.clip(here[..., 0] - lightness, -_CAP, _CAP)
    bright = np.where(lighter > 8, apart, 0)
    left, right = np.sort(bright[:, _LEFT].ravel()), np.sort(bright[:, _RIGHT].ravel())
    return np.array([*left[-3:], *right[-2:], apart[:, _LEFT].max(), apart[:, _RIGHT].max(), lighter[:, 6:8].max()])


def headwear(bare: Portrait, adorned: Portrait, hatted: Portrait, offset: Floats) -> Floats:
    """How much better a reading with an ornament or a hat explains the picture than one without, and how hat-like it is."""
    hat, hair = hatted.mask("headwear"), hatted.mask("hair")
    ornament = adorned.mask("headwear")
    points, which = hatted.scene.palette.points, hatted.scene.palette.which
    skin = _length(offset) < _SKIN
    figure = ~bare.scene.flooded
    left = np.where(figure.any(axis=1), figure.argmax(axis=1), 12)
    right = np.where(figure.any(axis=1), 23 - figure[:, ::-1].argmax(axis=1), 11)
    # How far a row stands out over both of those two and three below it: a brim.
    overhang_left = (np.minimum(left[5:12], left[6:13]) - left[3:10]).max()
    overhang_right = (right[3:10] - np.maximum(right[5:12], right[6:13])).max()
    forehead = np.where(skin[4:13, 8:16].any(axis=0), skin[4:13, 8:16].argmax(axis=0) + 4, 13)
    top = figure & ~skin
    top[9:] = False
    beside = top[:, 1:] & top[:, :-1]
    flat = _length(offset[:, 1:] - offset[:, :-1])[beside] < _FLAT
    hat_to_hair, between = _apart(hatted)
    ornament_to_hair, _ = _apart(adorned)
    return np.array(
        [
            *((hatted.likelihood - bare.likelihood) / 50, hat.sum() / 60, hair.sum() / 60),
            *((adorned.likelihood - bare.likelihood) / 50, ornament.sum() / 20, ornament_to_hair / _CAP),
            *(hat_to_hair / _CAP, between / _CAP, points[which[hat]].std(axis=0).sum() / _CAP if hat.any() else 0),
            *(overhang_left / 6, min(overhang_left, overhang_right) / 6, flat.mean() if flat.size else 0),
            *(hatted.certainty[hat].mean() if hat.any() else 0, np.bincount(forehead).max() / 8, forehead.mean() / 12),
        ]
    )


def _apart(portrait: Portrait) -> tuple[float, float]:
    """Mean distance of the hat's cells to the nearest colour of the hair, and between their median colours (DIN99o)."""
    hat, hair = portrait.mask("headwear"), portrait.mask("hair")
    if not hat.any() or not hair.any():
        return 0.0, 0.0
    points, which, apart = portrait.scene.palette.points, portrait.scene.palette.which, portrait.scene.apart
    in_hat, in_hair = (np.bincount(which[mask], minlength=len(points)) for mask in (hat, hair))
    counts = in_hat[in_hat > 0]
    nearest = apart[in_hat > 0][:, in_hair > 0].min(axis=1)
    between = _length(_middle(points[which[hat]]) - _middle(points[which[hair]]))
    return float((np.minimum(nearest, _CAP) * counts).sum() / counts.sum()), float(between)


def _middle(values: Floats) -> Floats:
    """The upper median along the first axis."""
    middle: Floats = np.sort(values, axis=0)[len(values) // 2]
    return middle


def _length(offset: Floats) -> Floats:
    length: Floats = np.sqrt(np.einsum("...i,...i", offset, offset))
    return length
