from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from evaluation import proof
from evaluation.proof import Proof, State


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    # R's binom.test, the published interval of Clopper and Pearson
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (24, 35, 0.5071, 0.8315), (7, 20, 0.1539, 0.5922), (0, 0, 0.0, 1.0)],
)
def test_the_exact_interval_is_the_published_one(wins, n, low, high) -> None:
    assert proof.clopper_pearson(wins, n) == pytest.approx((low, high), abs=1e-4)


def test_the_evidence_is_the_mixture_in_exact_fractions() -> None:
    for wins, losses in ((0, 0), (8, 0), (7, 0), (11, 1), (24, 11), (3, 9)):
        n = wins + losses
        assert proof.e_value(wins, losses) == pytest.approx(float(Fraction(2**n, (n + 1) * math.comb(n, wins))))
    assert proof.e_value(5000, 0) == math.inf


def test_eight_wins_in_a_row_prove_it_and_seven_do_not() -> None:
    assert Proof((True,) * 7).state == State.OPEN
    assert Proof((True,) * 7).more_needed == 1
    won = Proof((True,) * 8, ties=3)
    assert (won.state, won.more_needed, won.wins, won.losses) == (State.WON, 0, 8, 0)
    assert won.p == pytest.approx(9 / 256)
    assert Proof((False,) * 8).state == State.LOST
    assert proof.FEWEST == 8


def test_what_was_proven_stays_so_unless_the_other_side_comes_out_ahead() -> None:
    assert Proof((True,) * 8 + (False,) * 5).state == State.WON
    assert Proof((True,) * 8 + (False,) * 8).state == State.OPEN


@pytest.mark.parametrize(
    ("wins", "losses", "more"), [(0, 0, 8), (15, 5, 17), (12, 8, 251), (10, 10, None), (21, 19, None)]
)
def test_how_many_more_would_settle_it_at_the_present_share(wins, losses, more) -> None:
    assert Proof((True, False) * min(wins, losses) + (True,) * (wins - losses)).more_needed == more
    if more and wins:
        share = wins / (wins + losses)
        ends = [(wins + round(share * m), losses + m - round(share * m)) for m in (more - 1, more)]
        assert [proof.e_value(*end) >= proof.PROVEN for end in ends] == [False, True]


def _largest(rng: np.random.Generator, share: float, runs: int, votes: int) -> np.ndarray:
    """The running largest e of many simulated series of votes, by our own function."""
    table = np.array([[proof.e_value(w, n - w) if w <= n else 0 for w in range(votes + 1)] for n in range(votes + 1)])
    wins = (rng.random((runs, votes)) < share).cumsum(axis=1)
    return np.maximum.accumulate(table[np.arange(1, votes + 1), wins], axis=1)


def test_a_coin_looked_at_after_each_of_200_votes_is_called_proven_in_at_most_5_percent() -> None:
    largest = _largest(np.random.default_rng(1), 0.5, 20_000, 200)
    assert 0.01 < (largest[:, -1] >= proof.PROVEN).mean() <= 0.05


def test_three_of_four_are_told_from_a_coin_within_a_hundred_votes() -> None:
    largest = _largest(np.random.default_rng(2), 0.75, 4000, 100)
    reached = largest >= proof.PROVEN
    assert reached[:, -1].mean() > 0.97
    assert np.median(reached.argmax(axis=1) + 1) < 40


def test_the_interval_that_holds_at_every_look_covers_the_truth_at_all_of_them() -> None:
    rng, missed = np.random.default_rng(3), 0
    bounds = {(w, n): proof.confidence_sequence(w, n - w) for n in range(1, 61) for w in range(n + 1)}
    for _ in range(1500):
        wins = (rng.random(60) < 0.7).cumsum()
        missed += any(not bounds[int(w), n][0] <= 0.7 <= bounds[int(w), n][1] for n, w in enumerate(wins, start=1))
    assert missed / 1500 <= 0.05
    low, high = proof.confidence_sequence(24, 11)
    exact = proof.clopper_pearson(24, 35)
    assert low < exact[0] < exact[1] < high
    assert proof.confidence_sequence(0, 0) == (0.0, 1.0)


def test_consistency_counts_the_same_answer_twice() -> None:
    found = proof.consistency([("a", "a"), ("b", "a"), ("tie", "tie")])
    assert (found.same, found.n) == (2, 3)
    assert found.interval == pytest.approx(proof.clopper_pearson(2, 3))
