"""How much chance alone changes: an epoch drawn with several seeds says how big a difference must be."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Q, When

from evaluation import metrics
from evaluation.metrics import Measure, Measured
from evaluation.models import EpochResult, TestRender
from runs.models import TrainingRun

# Two-sided 95 % of a normal distribution.
_SURE = 1.96

# In our metrics, alone or beside another script's.
_IS_KNOWN = Q(quantitative_metrics__measured_by=metrics.MEASURED_BY, quantitative_metrics__noise__isnull=False) | Q(
    **{f"quantitative_metrics__{metrics.MEASURED_BY}__noise__isnull": False}
)

Noise = Mapping[str, Mapping[str, float]]
Drawn = Mapping[tuple[int, int], Measured]  # test prompt and seed to measures


@dataclass(frozen=True)
class Delta:
    """A measure's mean now and before, over the pictures of the same prompts and seeds in both (`n`).

    `floor` is what chance alone changes in 19 of 20 cases; None where no epoch has been drawn twice.
    """

    measure: Measure
    now: float
    before: float
    n: int
    floor: float | None

    @property
    def change(self) -> float:
        return self.now - self.before

    @property
    def is_difference(self) -> bool | None:
        """Whether the change is more than chance; None where nobody knows what chance does."""
        return None if self.floor is None else abs(self.change) > self.floor


def of_repeats(renders: Sequence[TestRender]) -> dict[str, dict[str, float]]:
    """For each measure the root mean square difference (`rms`) between a prompt's first picture and those with another
    seed, and the number of pairs (`n`); empty where each prompt was drawn once.

    A few pairs that happen to be equal do not prove that chance changes nothing, so one more pair is taken for granted
    (as in Laplace's rule of succession): one that differs, or, for what is no share, by the pictures' own spread.
    """
    first: dict[int, TestRender] = {}
    for render in renders:
        if not render.is_repeat:
            first.setdefault(render.test_prompt_id, render)
    squares: dict[str, list[float]] = defaultdict(list)
    seen: dict[str, list[float]] = defaultdict(list)
    for render in renders:
        twin = first.get(render.test_prompt_id)
        if twin is None or twin is render or twin.measures is None or render.measures is None:
            continue
        one, other = metrics.values(twin.measures), metrics.values(render.measures)
        for key in one.keys() & other.keys():
            squares[key].append((one[key] - other[key]) ** 2)
            seen[key] += [one[key], other[key]]
    return {
        key: {"rms": round(math.sqrt((sum(each) + _granted(key, seen[key])) / (len(each) + 1)), 4), "n": len(each)}
        for key, each in squares.items()
        if len(each) > 1
    }


def _granted(key: str, seen: Sequence[float]) -> float:
    return 1.0 if metrics.BY_KEY[key].is_share else 2 * statistics.variance(seen)


def for_run(run: TrainingRun) -> Noise:
    """The noise that was measured last: in this run, else in a run of the same base; empty where none was."""
    others_last = Case(When(training_run=run, then=0), default=1)
    written = (
        EpochResult.objects.filter(_IS_KNOWN, training_run__base_model=run.base_model)
        .order_by(others_last, "-pk")
        .values_list("quantitative_metrics", flat=True)
        .first()
    )
    ours = metrics.ours(written)
    noise: dict[str, Any] = (ours or {}).get("noise", {})
    return noise


def floor(rms: float, n: int) -> float:
    """What chance alone changes of a mean over `n` pictures in 19 of 20 cases."""
    return _SURE * rms / math.sqrt(n)


def deltas(now: Drawn, before: Drawn, noise: Noise) -> list[Delta]:
    """What changed from one set of pictures to another, measure by measure, as far as both have pictures of the same
    prompt and seed that it judges."""
    pairs = [(metrics.values(now[key]), metrics.values(before[key])) for key in now.keys() & before.keys()]
    found = []
    for measure in metrics.MEASURES:
        both = [
            (one[measure.key], other[measure.key])
            for one, other in pairs
            if measure.key in one and measure.key in other
        ]
        if not both:
            continue
        known = noise.get(measure.key)
        chance = floor(known["rms"], len(both)) if known else None
        ours, theirs = (sum(column) / len(both) for column in zip(*both, strict=True))
        found.append(Delta(measure, ours, theirs, len(both), chance))
    return found


def drawn_by(renders: Sequence[TestRender]) -> dict[tuple[int, int], Measured]:
    """The measures of pictures by test prompt and seed; those of an older shape are left out."""
    return {
        (render.test_prompt_id, int(render.request["seed"])): render.measures
        for render in renders
        if metrics.is_current(render.measures) and render.measures is not None
    }
