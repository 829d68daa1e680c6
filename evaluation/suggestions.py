"""Suggested scores: by a plain rule, and by a fit to what people gave once there is enough of it and it does better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation import agreement
from evaluation.agreement import History
from evaluation.models import EpochResult

Floats = NDArray[np.float64]

FEWEST_EPOCHS = 30  # scored by people and measured, before a fit is tried
_RULE = dict(zip(EpochResult.SCORES, ("suggested_visual", "suggested_style", "suggested_prompt"), strict=True))
_RIDGE = 5.0


@dataclass(frozen=True)
class Fit:
    """A score as a weighted sum of trusted measures: their keys, means, spreads and weights, and the score's own mean.

    `error` and `rule_error` are the mean absolute differences to people's scores, of the fit with each epoch left out in
    turn, and of the rule; over the epochs that the rule has a score for, or over all, and then the rule's is None.
    """

    keys: tuple[str, ...]
    mean: Floats
    spread: Floats
    weights: Floats
    offset: float
    error: float
    rule_error: float | None

    def score(self, means: Mapping[str, float]) -> float:
        """The score for an epoch's measures, 0 to 10; a measure that is missing counts as average."""
        values = np.array([means.get(key, mean) for key, mean in zip(self.keys, self.mean, strict=True)])
        return float(np.clip(self.offset + ((values - self.mean) / self.spread) @ self.weights, 0, 10))


def suggest(means: Mapping[str, float]) -> tuple[dict[str, float | None], str]:
    """The three scores suggested for an epoch's means, by their columns, and a sentence on where they come from."""
    history = agreement.history()
    scores: dict[str, float | None] = {}
    fitted = []
    for column, key in _RULE.items():
        fit = fit_of(history, column)
        by_rule = means.get(key)
        scores[column] = round(fit.score(means), 1) if fit else None if by_rule is None else round(by_rule, 1)
        if fit:
            rule = "" if fit.rule_error is None else f" (rule: {fit.rule_error:.1f})"
            fitted.append(f"{column.removesuffix('_score')} off by {fit.error:.1f}{rule}")
    n_epochs = len(history.epochs)
    if fitted:
        return scores, f"suggested by a fit to {n_epochs} epochs that people scored: {', '.join(fitted)}"
    if n_epochs < FEWEST_EPOCHS:
        return (
            scores,
            f"suggested by rule: {n_epochs} epochs are scored by people and measured, a fit needs {FEWEST_EPOCHS}",
        )
    return scores, f"suggested by rule: over {n_epochs} epochs that people scored no fit does better"


def fit_of(history: History, column: str) -> Fit | None:
    """The fit of one score; None with too few epochs, without a trusted measure, or where the rule does better."""
    if len(history.epochs) < FEWEST_EPOCHS:
        return None
    keys = tuple(each.measure.key for each in history.agreements(column) if each.is_trusted)
    wanted = np.array([epoch.scores[column] for epoch in history.epochs])
    if not keys or len(set(wanted.tolist())) < 3:
        return None
    table = np.array([[epoch.means.get(key, np.nan) for key in keys] for epoch in history.epochs])
    mean, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0) + 1e-6
    design = np.nan_to_num((table - mean) / spread)
    gram = np.linalg.inv(design.T @ design + _RIDGE * np.eye(len(keys)))
    offset = float(wanted.mean())
    weights = gram @ design.T @ (wanted - offset)
    errors = _left_out_errors(design, gram, wanted, design @ weights + offset)
    by_rule = np.array([epoch.means.get(_RULE[column], np.nan) for epoch in history.epochs])
    judged = ~np.isnan(by_rule)
    if not judged.any():
        return Fit(keys, mean, spread, weights, offset, float(errors.mean()), None)
    error, rule_error = float(errors[judged].mean()), float(np.abs(by_rule - wanted)[judged].mean())
    return Fit(keys, mean, spread, weights, offset, error, rule_error) if error < rule_error else None


def _left_out_errors(design: Floats, gram: Floats, wanted: Floats, fitted: Floats) -> Floats:
    """The absolute error of each epoch when it is left out, by the leverages of the ridge regression."""
    leverage = np.einsum("ij,jk,ik->i", design, gram, design) + 1 / len(wanted)
    errors: Floats = np.abs((wanted - fitted) / (1 - np.minimum(leverage, 0.99)))
    return errors
