"""Where a run is heading: improving, on a plateau or degrading, and whether to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from evaluation.models import EpochResult
from runs.models import TrainingRun

FEWEST = 3  # scored epochs before there is a trend: two show a step, not a direction


class State(StrEnum):
    IMPROVING = "improving"
    PLATEAU = "plateau"
    DEGRADING = "degrading"
    TOO_EARLY = "too_early"


class Action(StrEnum):
    CONTINUE = "continue"
    CHECK = "check"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When to stop: after `below_best` epochs running below the best, or `falls` falls running from `falls_from` or more."""

    below_best: int = 3
    falls: int = 2
    falls_from: float = 8.0


@dataclass(frozen=True, kw_only=True)
class Convergence:
    state: State
    action: Action
    best_epoch: int | None  # None while no person has scored one
    reason: str

    def to_json(self) -> dict[str, str | int | None]:
        return asdict(self)


DEFAULT_PATIENCE = Patience()


def judge(averages: Sequence[tuple[int, float]], patience: Patience = DEFAULT_PATIENCE) -> Convergence:
    """Judge (epoch, average of its three scores) pairs in the order of epochs; epochs without scores are left out.

    One dip never stops a run. A plateau is three scored epochs without a new best, the lab's own rule.
    """
    if not averages:
        return Convergence(
            state=State.TOO_EARLY, action=Action.CONTINUE, best_epoch=None, reason="No epoch has been scored yet."
        )
    ordered = sorted(averages)
    values = [average for _, average in ordered]
    place = values.index(max(values))  # of equals the earliest: it is the least overtrained
    epoch, best = ordered[place][0], values[place]
    state, action, reason = _direction(values, place, patience)
    return Convergence(
        state=state, action=action, best_epoch=epoch, reason=f"{reason} Best: epoch {epoch} with {best:.1f}."
    )


def _direction(values: list[float], place: int, patience: Patience) -> tuple[State, Action, str]:
    below, falls = _trailing_below(values, values[place]), _trailing_falls(values)
    since = len(values) - 1 - place
    fell_from = values[-1 - falls]
    if len(values) < FEWEST:
        return State.TOO_EARLY, Action.CONTINUE, f"{_epochs(len(values))} scored: a trend needs {FEWEST}."
    if below >= patience.below_best:
        return State.DEGRADING, Action.STOP, f"The last {_epochs(below)} stayed below the best."
    if falls >= patience.falls and fell_from >= patience.falls_from:
        return State.DEGRADING, Action.STOP, f"{falls} falls running, from {fell_from:.1f} to {values[-1]:.1f}."
    if falls >= 2:
        return State.DEGRADING, Action.CHECK, f"{falls} falls running, from {fell_from:.1f} to {values[-1]:.1f}."
    if since >= FEWEST - 1:
        return State.PLATEAU, Action.CHECK, f"No new best in the last {_epochs(since)}."
    if falls:
        return State.IMPROVING, Action.CONTINUE, f"One dip to {values[-1]:.1f}: too little to stop for."
    return State.IMPROVING, Action.CONTINUE, f"The best score is {'new' if not since else 'one epoch old'}."


def for_run(run: TrainingRun, patience: Patience = DEFAULT_PATIENCE) -> Convergence:
    """Judge a run by the scores that people gave; scores made by a script never count."""
    scored = list(EpochResult.objects.filter(training_run=run).scored())
    by_people = [each for each in scored if not each.is_machine_scored]
    verdict = judge([(each.epoch_number, each.average) for each in by_people if each.average is not None], patience)
    n_machine = len(scored) - len(by_people)
    if by_people or not n_machine:
        return verdict
    return Convergence(
        state=verdict.state,
        action=verdict.action,
        best_epoch=None,
        reason=f"No person has scored an epoch yet; machine scores ({_epochs(n_machine)}) do not count.",
    )


def _trailing_below(values: list[float], best: float) -> int:
    return next((n for n, value in enumerate(reversed(values)) if value >= best), len(values))


def _trailing_falls(values: list[float]) -> int:
    falls = 0
    while falls + 1 < len(values) and values[-1 - falls] < values[-2 - falls]:
        falls += 1
    return falls


def _epochs(n: int) -> str:
    return f"{n} epoch{'' if n == 1 else 's'}"
