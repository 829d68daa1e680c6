"""What wins and losses of blind pairs prove so far; no database.

Ties say nothing for either side and are left out. Two questions, two tools:

- How large is the share of wins? The exact interval of Clopper and Pearson (Biometrika 26, 1934): the shares that a
  two-sided binomial test at 5 % does not refuse.
- May we stop? After every vote somebody looks, and an ordinary test that is looked at often enough refuses everything.
  So the evidence is a bet against "the votes are a coin", p = 1/2, with the uniform mixture over p as its stake
  (Robbins, Annals of Mathematical Statistics 41, 1970):

      e = B(wins + 1, losses + 1) / (1/2)^n = 2^n / ((n + 1) C(n, wins))

  Under a coin e is a martingale that begins at 1, so by Ville's inequality (1939) the chance that it ever reaches 20,
  however often and whenever one looks, is at most 1/20. The anytime p-value is one over the largest e so far. The shares
  p against which the same bet has not reached 20 are an interval that may be looked at after every vote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

ALPHA = 0.05
PROVEN = 1 / ALPHA  # the e-value that settles it
FEWEST = 8  # votes that could prove anything: eight wins in a row, e = 28
MOST_MORE = 300  # votes ahead that are still worth telling


class State(StrEnum):
    WON = "won"
    LOST = "lost"
    OPEN = "open"


@dataclass(frozen=True)
class Proof:
    """The decided votes in their order, True for a win, and how many ties there were besides."""

    decided: tuple[bool, ...]
    ties: int = 0

    @property
    def n(self) -> int:
        return len(self.decided)

    @property
    def wins(self) -> int:
        return sum(self.decided)

    @property
    def losses(self) -> int:
        return self.n - self.wins

    @property
    def share(self) -> float | None:
        """The share of wins among the decided votes, 0 to 1; None without one."""
        return self.wins / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share, for a number of votes that was fixed before."""
        return clopper_pearson(self.wins, self.n)

    @property
    def interval_at_every_look(self) -> tuple[float, float]:
        """The 95 % interval of the share that holds at every look; wider than the exact one."""
        return confidence_sequence(self.wins, self.losses)

    @cached_property
    def largest_e(self) -> float:
        """The largest e-value after any vote so far; at least 1."""
        wins, largest = 0, 1.0
        for n, won in enumerate(self.decided, start=1):
            wins += won
            largest = max(largest, e_value(wins, n - wins))
        return largest

    @property
    def p(self) -> float:
        """The p-value that may be looked at after every vote, 0 to 1."""
        return min(1.0, 1 / self.largest_e)

    @property
    def state(self) -> State:
        """Won or lost once the evidence reached 20, for the side that is ahead now; open before that."""
        if self.largest_e < PROVEN or self.wins == self.losses:
            return State.OPEN
        return State.WON if self.wins > self.losses else State.LOST

    @property
    def more_needed(self) -> int | None:
        """How many more decided votes would settle it at the present share; None where over 300 would not. 0 when
        settled."""
        if self.state != State.OPEN:
            return 0
        share = 1.0 if self.share is None else self.share
        for more in range(1, MOST_MORE + 1):
            n = self.n + more
            wins = self.wins + round(share * more)
            if e_value(wins, n - wins) >= PROVEN:
                return more
        return None


@dataclass(frozen=True)
class Consistency:
    """How often somebody who saw the same two pictures again, with the sides swapped, said the same."""

    same: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share."""
        return clopper_pearson(self.same, self.n)


def e_value(wins: int, losses: int) -> float:
    """The evidence against a coin, 1 for none; infinite where it is beyond a float."""
    n = wins + losses
    log_e = n * math.log(2) + _log_beta(wins, losses)
    return math.exp(log_e) if log_e < 700 else math.inf


def clopper_pearson(wins: int, n: int) -> tuple[float, float]:
    """The exact two-sided 95 % interval of a share; all of 0 to 1 without a vote."""
    low = 0.0 if not wins else _root(lambda p: _at_least(wins, n, p) - ALPHA / 2)
    high = 1.0 if wins == n else _root(lambda p: ALPHA / 2 - (1 - _at_least(wins + 1, n, p)))
    return low, high


def confidence_sequence(wins: int, losses: int) -> tuple[float, float]:
    """The shares against which the mixture's bet has not reached 20: 95 % at every look; all of 0 to 1 without a vote."""
    n = wins + losses
    if not n:
        return 0.0, 1.0
    log_stake = _log_beta(wins, losses)

    def excess(p: float) -> float:
        return log_stake - _log_likelihood(wins, losses, p) - math.log(PROVEN)

    best = wins / n
    low = 0.0 if not wins else _root(lambda p: -excess(p * best)) * best
    high = 1.0 if not losses else best + _root(lambda p: excess(best + p * (1 - best))) * (1 - best)
    return low, high


def _log_beta(wins: int, losses: int) -> float:
    """The logarithm of B(wins + 1, losses + 1)."""
    return math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)


def _log_likelihood(wins: int, losses: int, p: float) -> float:
    ours = wins * math.log(p) if wins else 0.0
    return ours + (losses * math.log1p(-p) if losses else 0.0)


def _at_least(wins: int, n: int, p: float) -> float:
    """The chance of that many wins or more in n at the share p, 0 < p < 1."""
    return math.fsum(math.exp(math.log(math.comb(n, k)) + _log_likelihood(k, n - k, p)) for k in range(wins, n + 1))


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 to above 0 over (0, 1) crosses 0, to twelve digits."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def consistency(pairs: Sequence[tuple[str, str]]) -> Consistency:
    """From what was chosen the first and the second time."""
    return Consistency(sum(first == second for first, second in pairs), len(pairs))
