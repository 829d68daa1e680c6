"""Where a run is heading: improving, on a plateau or degrading, and whether to go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from django.contrib.auth.models import User

from evaluation import selection
from evaluation.models import EpochResult
from evaluation.trend_models import RunPatience
from runs.models import TrainingRun

FEWEST = 3  # scored epochs before there is a trend: two show a step, not a direction
_MOST_CITED = 5


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

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        if self.action == Action.STOP:
            return f"Stop, and go on with epoch {self.best_epoch}."
        if self.action == Action.CHECK:
            return f"Check the last epochs' pictures beside epoch {self.best_epoch}'s: stop unless they are getting better."
        return "Train on." if self.best_epoch else "Score the epochs that have pictures."


DEFAULT_PATIENCE = Patience()


def judge(
    averages: Sequence[tuple[int, float]], patience: Patience = DEFAULT_PATIENCE, best: int | None = None
) -> Convergence:
    """Judge (epoch, average of its three scores) pairs in the order of epochs; epochs without scores are left out.

    One dip never stops a run. A plateau is three scored epochs without a new best, the lab's own rule. `best` is the
    epoch to name as the best; without it the highest, of equals the earliest: it is the least overtrained.
    """
    if not averages:
        return Convergence(
            state=State.TOO_EARLY, action=Action.CONTINUE, best_epoch=None, reason="No epoch has been scored yet."
        )
    ordered = sorted(averages)
    values = [average for _, average in ordered]
    place = values.index(max(values))
    epoch = ordered[place][0] if best is None else best
    state, action, reason = _direction(ordered, values, place, patience)
    return Convergence(
        state=state,
        action=action,
        best_epoch=epoch,
        reason=f"{reason} Best: epoch {epoch} with {dict(ordered)[epoch]:.1f}.",
    )


def stops(values: Sequence[float], patience: Patience) -> bool:
    """Whether averages in the order of epochs say stop."""
    if len(values) < FEWEST:
        return False
    falls = _trailing_falls(values)
    return _trailing_below(values, max(values)) >= patience.below_best or (
        falls >= patience.falls and values[-1 - falls] >= patience.falls_from
    )


def _direction(
    ordered: Sequence[tuple[int, float]], values: list[float], place: int, patience: Patience
) -> tuple[State, Action, str]:
    below, falls = _trailing_below(values, values[place]), _trailing_falls(values)
    since = len(values) - 1 - place
    last, best = ordered[-1], ordered[place]
    fallen = f"{_cited(ordered[-1 - falls :])}: {falls} falls running."
    if len(values) < FEWEST:
        return State.TOO_EARLY, Action.CONTINUE, f"{_epochs(len(values))} scored: a trend needs {FEWEST}."
    if stops(values, patience):
        under = f"{_cited(ordered[-below:])}: below epoch {best[0]}'s {best[1]:.1f} for {_epochs(below)}."
        return State.DEGRADING, Action.STOP, under if below >= patience.below_best else fallen
    if falls >= 2:
        return State.DEGRADING, Action.CHECK, fallen
    if since >= FEWEST - 1:
        return State.PLATEAU, Action.CHECK, f"{_cited(ordered[place:])}: no new best since epoch {best[0]}."
    if falls:
        return (
            State.IMPROVING,
            Action.CONTINUE,
            f"Epoch {last[0]} averages {last[1]:.1f}, one dip: too little to stop for.",
        )
    if since:
        return State.IMPROVING, Action.CONTINUE, f"Epoch {last[0]} equals the best, which is one epoch old."
    return State.IMPROVING, Action.CONTINUE, f"Epoch {last[0]} averages {last[1]:.1f}, the best so far."


def for_run(run: TrainingRun, rows: Sequence[EpochResult] | None = None) -> Convergence:
    """Judge a run by the scores that people gave, with its own patience; scores made by a script never count.

    `rows` are its results where they are loaded already. The best epoch is the one that holds in `evaluation.selection`."""
    rows = list(EpochResult.objects.filter(training_run=run)) if rows is None else rows
    scored = [row for row in rows if row.average is not None]
    averages = by_people(rows)
    n_machine = len(scored) - len(averages)
    selected = selection.for_run(run, rows)
    found = judge(averages, patience_of(run), selected.best.epoch if selected.best else None)
    if n_machine and not averages:
        reason = f"No person has scored an epoch yet; machine scores ({_epochs(n_machine)}) do not count."
        found = replace(found, reason=reason)
    if selected.is_chosen and selected.epoch != found.best_epoch:
        told = f"{found.reason} Chosen as the best by a person: epoch {selected.epoch}."
        return replace(found, best_epoch=selected.epoch, reason=told)
    return found


def by_people(rows: Iterable[EpochResult]) -> list[tuple[int, float]]:
    """(epoch, average) of the epochs that people scored, in their order."""
    return sorted(
        (row.epoch_number, row.average) for row in rows if row.average is not None and not row.is_machine_scored
    )


def patience_of(run: TrainingRun) -> Patience:
    """The patience that an operator chose for the run, else the default."""
    own = RunPatience.objects.filter(run=run).first()
    if own is None:
        return DEFAULT_PATIENCE
    return Patience(below_best=own.below_best, falls=own.falls, falls_from=own.falls_from)


def set_patience(run: TrainingRun, patience: Patience, *, by: User | None) -> None:
    """Keep an operator's patience with the run."""
    RunPatience.objects.update_or_create(run=run, defaults={**asdict(patience), "by": by})


def _trailing_below(values: Sequence[float], best: float) -> int:
    return next((n for n, value in enumerate(reversed(values)) if value >= best), len(values))


def _trailing_falls(values: Sequence[float]) -> int:
    falls = 0
    while falls + 1 < len(values) and values[-1 - falls] < values[-2 - falls]:
        falls += 1
    return falls


def _cited(pairs: Sequence[tuple[int, float]]) -> str:
    """The last few epochs with their averages: "Epochs 5, 6 and 7 average 7.0, 7.0 and 7.0"."""
    cited = pairs[-_MOST_CITED:]
    if len(cited) == 1:
        return f"Epoch {cited[0][0]} averages {cited[0][1]:.1f}"
    epochs, values = ([f"{each:g}" for each, _ in cited], [f"{value:.1f}" for _, value in cited])
    return f"Epochs {_joined(epochs)} average {_joined(values)}"


def _joined(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _epochs(n: int) -> str:
    return f"{n} epoch{'' if n == 1 else 's'}"
