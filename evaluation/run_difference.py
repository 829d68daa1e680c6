"""Two runs side by side: the parameters that differ, and what that did to the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.models import EpochResult
from evaluation.scoring import NAMES
from evaluation.standing import Standing, standings
from runs.models import TrainingRun
from runs.parameters import Difference, differences


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One number of two runs; `change` None where one of them has none or it is no score."""

    name: str
    mine: str
    theirs: str
    change: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunDifference:
    other: TrainingRun
    parameters: Sequence[Difference]
    scores: Sequence[ScoreLine]


def difference_of(run: TrainingRun, other: TrainingRun) -> RunDifference:
    """What differs between two runs, and how they were scored. Two queries."""
    known = standings([run, other])
    mine, theirs = known[run.pk], known[other.pk]
    lines = [_line("average of the best epoch", mine.average, theirs.average)]
    lines += [_line(f"its {name}", _score(mine, column), _score(theirs, column)) for column, name in NAMES.items()]
    lines += [
        ScoreLine(name="best epoch", mine=_epoch(mine), theirs=_epoch(theirs)),
        ScoreLine(name="epochs scored by people", mine=str(mine.n_scored), theirs=str(theirs.n_scored)),
        _line("quality score", run.quality_score, other.quality_score),
        ScoreLine(name="verdict", mine=run.overall_verdict or "–", theirs=other.overall_verdict or "–"),
    ]
    return RunDifference(other=other, parameters=differences(run, other), scores=lines)


def _line(name: str, mine: float | None, theirs: float | None) -> ScoreLine:
    change = mine - theirs if mine is not None and theirs is not None else None
    return ScoreLine(name=name, mine=_number(mine), theirs=_number(theirs), change=change)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _score(standing: Standing, column: str) -> float | None:
    best: EpochResult | None = standing.best
    value: int | None = getattr(best, column) if best and standing.average is not None else None
    return value


def _epoch(standing: Standing) -> str:
    return str(standing.best.epoch_number) if standing.best else "–"
