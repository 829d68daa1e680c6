"""What patience costs, on simulated runs: how much worse than the best epoch one stops with, and what is saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from evaluation.convergence import DEFAULT_PATIENCE, Patience, stops

N_EPOCHS = 12
N_HISTORIES = 200  # of each shape
SEED = 24
PATIENCES = (1, 2, 3, 4, 5)
_NOISE = 0.5  # points between an epoch's average and its shape, by chance and by the reviewer
_EPOCHS = np.arange(N_EPOCHS)

Floats = NDArray[np.float64]
Rng = np.random.Generator


def _best_early(rng: Rng) -> Floats:
    """The third epoch or so is the best, then it wavers lower, as the lab's third run did."""
    found: Floats = np.where(rng.integers(1, 4) == _EPOCHS, 7.0, np.minimum(5.5, 4 + _EPOCHS))
    return found


def _best_late(rng: Rng) -> Floats:
    """It rises all the way, more slowly at the end."""
    found: Floats = 8.5 - 4.5 * np.exp(-_EPOCHS / rng.uniform(3, 6))
    return found


def _dips_before(rng: Rng) -> Floats:
    """It rises late, with one or two epochs well below in between."""
    found = _best_late(rng)
    found[rng.choice(np.arange(2, 8), size=rng.integers(1, 3), replace=False)] -= rng.uniform(1, 2.5)
    return found


def _noise_alone(_: Rng) -> Floats:
    """Nothing changes but by chance."""
    return np.full(N_EPOCHS, 6.0)


def _overtrained(rng: Rng) -> Floats:
    """It rises to a peak in the middle and falls for good."""
    peak = rng.integers(4, 8)
    found: Floats = 8.5 - np.where(peak > _EPOCHS, 0.7, 0.6) * np.abs(_EPOCHS - peak)
    return found


SHAPES: dict[str, Callable[[Rng], Floats]] = {
    "best early": _best_early,
    "best late": _best_late,
    "dips before the best": _dips_before,
    "noise alone": _noise_alone,
    "overtraining": _overtrained,
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A rule's means over simulated runs: `regret` in points of the average, `saved` as a share of the epochs."""

    rule: str
    regret: float
    saved: float
    by_shape: Sequence[tuple[float, float]]  # regret and saved for each of SHAPES
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class Costs:
    shapes: Sequence[str]
    costs: Sequence[Cost]
    milliseconds: int
    n_histories: int = N_HISTORIES
    n_epochs: int = N_EPOCHS


@lru_cache(maxsize=1)
def costs() -> Costs:
    """Regret and saving of the naive rule and of each patience; the same at every call, computed at the first."""
    began = time.perf_counter()
    known = {shape: histories(shape) for shape in SHAPES}
    found = [_cost("stop at the first dip", known, first_dip)]
    for below in PATIENCES:
        patience = Patience(below_best=below)
        rule = partial(stops, patience=patience)
        found.append(_cost(f"patience {below}", known, rule, is_default=patience == DEFAULT_PATIENCE))
    return Costs(shapes=list(SHAPES), costs=found, milliseconds=round(1000 * (time.perf_counter() - began)))


def histories(shape: str, n: int = N_HISTORIES) -> list[list[float]]:
    """Averages of three whole scores of 0 to 10, epoch by epoch, of `n` runs of a shape; seeded."""
    rng = np.random.default_rng([SEED, list(SHAPES).index(shape)])
    found = []
    for _ in range(n):
        noisy = SHAPES[shape](rng) + rng.normal(0, _NOISE, N_EPOCHS)
        found.append((np.round(np.clip(noisy, 0, 10) * 3) / 3).tolist())
    return found


def first_dip(seen: Sequence[float]) -> bool:
    """The naive rule: stop as soon as an epoch is worse than the one before."""
    return len(seen) > 1 and seen[-1] < seen[-2]


def outcome(history: Sequence[float], rule: Callable[[Sequence[float]], bool]) -> tuple[float, float]:
    """Regret (best of the run minus best seen before the stop) and the share of epochs saved."""
    end = next((n for n in range(1, len(history) + 1) if rule(history[:n])), len(history))
    return max(history) - max(history[:end]), 1 - end / len(history)


def _cost(
    name: str,
    known: dict[str, list[list[float]]],
    rule: Callable[[Sequence[float]], bool],
    is_default: bool = False,
) -> Cost:
    by_shape = []
    for each in known.values():
        regret, saved = np.mean([outcome(history, rule) for history in each], axis=0)
        by_shape.append((float(regret), float(saved)))
    regret, saved = np.mean(by_shape, axis=0)
    return Cost(rule=name, regret=float(regret), saved=float(saved), by_shape=by_shape, is_default=is_default)
