"""How often each measure agreed with people: of two epochs that people scored, which does it call the better one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from evaluation import metrics
from evaluation.metrics import MEASURES, Measure
from evaluation.models import EpochResult, ScoreEntry

Floats = NDArray[np.float64]

TARGETS = (*EpochResult.SCORES, "average")
MOST_EPOCHS = 200  # the latest scored; more would tell little more and cost their square
FEWEST_EPOCHS = 5  # with fewer an interval is a guess
_RESAMPLES = 400


@dataclass(frozen=True)
class Scored:
    """An epoch that a person scored: its mean of each measure, and the scores by their columns with their average."""

    means: dict[str, float]
    scores: dict[str, float]


@dataclass(frozen=True)
class Agreement:
    """Of `pairs` pairs of epochs with different scores, the share in which the measure's order is the people's; a tie of
    the measure counts half. None without a pair, or where it says the same of every epoch.

    `low` and `high` bound it at 95 %; None with under five epochs too.
    """

    measure: Measure
    epochs: int
    pairs: int
    share: float | None
    low: float | None
    high: float | None

    @property
    def is_trusted(self) -> bool:
        """Whether it agrees with people more than a coin: its whole interval lies above one half."""
        return self.low is not None and self.low > 0.5


@dataclass(frozen=True)
class History:
    """The epochs that people scored and measures know, the latest first."""

    epochs: tuple[Scored, ...]

    def agreements(self, target: str) -> list[Agreement]:
        """Every measure's agreement with one of `TARGETS`.

        The interval is a bootstrap over epochs (400 resamples, seed 0), since pairs that share an epoch are not
        independent.
        """
        scores = np.array([epoch.scores[target] for epoch in self.epochs], dtype=float)
        return [self._agreement(measure, scores) for measure in MEASURES]

    def _agreement(self, measure: Measure, scores: Floats) -> Agreement:
        values = np.array([epoch.means.get(measure.key, np.nan) for epoch in self.epochs], dtype=float)
        known = ~np.isnan(values)
        order, said = _signs(values[known]), _signs(scores[known])
        counts = (said != 0).astype(float)
        agrees = counts * np.where(order == 0, 0.5, order == said)
        n_epochs, n_pairs = int(known.sum()), int(counts.sum()) // 2
        if not n_pairs or not order.any():
            return Agreement(measure, n_epochs, n_pairs, None, None, None)
        share = float(agrees.sum() / counts.sum())
        if n_epochs < FEWEST_EPOCHS:
            return Agreement(measure, n_epochs, n_pairs, share, None, None)
        low, high = self._interval(agrees, counts, known)
        return Agreement(measure, n_epochs, n_pairs, share, low, high)

    def _interval(self, agrees: Floats, counts: Floats, known: NDArray[np.bool_]) -> tuple[float, float]:
        weights = self._weights[:, known]
        pairs = ((weights @ counts) * weights).sum(axis=1)
        shares = ((weights @ agrees) * weights).sum(axis=1)[pairs > 0] / pairs[pairs > 0]
        low, high = np.percentile(shares, (2.5, 97.5))
        return float(low), float(high)

    @cached_property
    def _weights(self) -> Floats:
        n_epochs = len(self.epochs)
        drawn = np.random.default_rng(0).multinomial(n_epochs, np.full(n_epochs, 1 / n_epochs), size=_RESAMPLES)
        return drawn.astype(float)


def history() -> History:
    """What people scored and measures know; one query.

    Scores of a script never count, nor those of an epoch for which a reviewer took a suggestion over: it would agree
    with itself. Suggested scores never reach the columns that are read here.
    """
    latest = (
        ScoreEntry.objects.exclude(source=ScoreEntry.Source.MACHINE)
        .order_by("epoch_result_id", "by_id", "-created_at", "-pk")
        .distinct("epoch_result_id", "by_id")
    )
    taken_over = ScoreEntry.objects.filter(pk__in=latest.values("pk")).exclude(accepted=[])
    ours = Q(quantitative_metrics__measured_by=metrics.MEASURED_BY, quantitative_metrics__has_key="means") | Q(
        **{f"quantitative_metrics__{metrics.MEASURED_BY}__has_key": "means"}
    )
    rows = (
        EpochResult.objects.scored()
        .filter(ours)
        .exclude(pk__in=EpochResult.objects.machine_scored())
        .exclude(pk__in=taken_over.values("epoch_result"))
        .order_by("-pk")
        .values_list("quantitative_metrics", *EpochResult.SCORES)[:MOST_EPOCHS]
    )
    found: list[Scored] = []
    for written, *given in rows:
        means = (metrics.ours(written) or {}).get("means")
        if means:
            scores = dict(zip(EpochResult.SCORES, map(float, given), strict=True))
            found.append(Scored(means, {**scores, "average": sum(given) / len(given)}))
    return History(tuple(found))


def _signs(values: Sequence[float] | Floats) -> Floats:
    column = np.asarray(values, dtype=float)
    # Means are rounded when stored: what differs less is a tie.
    apart = np.round(column[:, None] - column, 3)
    signs: Floats = np.sign(apart)
    return signs
