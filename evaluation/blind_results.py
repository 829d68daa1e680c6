"""What the votes on blind pairs say: wins, what they prove, prompt by prompt, voter by voter.

Evidence is counted by pairs of pictures, one vote each: the first blind one that decides. Votes of several people on the
same two pictures, and repeats, are not independent of each other; counted one by one they would prove too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from evaluation.blind_models import BlindTest, Choice, Pair, Vote
from evaluation.proof import MOST_MORE, Consistency, Proof, State, consistency
from runs.models import Checkpoint


@dataclass
class Tally:
    """Wins, losses and ties of the first checkpoint."""

    wins: int = 0
    losses: int = 0
    ties: int = 0

    @property
    def total(self) -> int:
        return self.wins + self.losses + self.ties


@dataclass
class Voter:
    """One person's votes: each pair once, repeats apart; `seeing` were given after looking at the results."""

    by: User
    tally: Tally = field(default_factory=Tally)
    seeing: int = 0
    repeats: list[tuple[str, str]] = field(default_factory=list)

    @property
    def consistency(self) -> Consistency:
        return consistency(self.repeats)


@dataclass(kw_only=True)
class Results:
    """What the votes say of `first` against `second`. `n_pairs` are those of pictures, `undecided` have no vote that
    decides."""

    first: Checkpoint
    second: Checkpoint
    proof: Proof
    n_pairs: int
    undecided: int
    prompts: dict[str, Tally]
    voters: list[Voter]

    @property
    def consistency(self) -> Consistency:
        """Over all voters: the same choice when the pair came again."""
        return consistency([each for voter in self.voters for each in voter.repeats])

    @property
    def seeing(self) -> int:
        """Votes that do not count because their voters had looked."""
        return sum(voter.seeing for voter in self.voters)

    @property
    def sentence(self) -> str:
        """What is proven so far, and what would settle it."""
        proof = self.proof
        if not proof.n:
            return "No pair is decided yet: nothing is proven."
        told = f"{self.first} won {proof.wins} of {proof.n} decided pairs against {self.second}"
        if proof.state == State.WON:
            return f"{told}: it is better."
        if proof.state == State.LOST:
            return f"{told}: it is worse."
        return f"{told}: that is not settled. {self._what_would_settle()}"

    def _what_would_settle(self) -> str:
        more = self.proof.more_needed
        if more is None:
            return (
                f"At this rate {MOST_MORE} more pairs would not settle it: the difference, if there is one, is small. Even "
                "60 % is told from a coin by 210 pairs only every other time."
            )
        told = f"At this rate about {more} more decided pair{'' if more == 1 else 's'} would settle it"
        if more > self.undecided:
            return f"{told}; {self.undecided or 'none'} of these pairs {'is' if self.undecided == 1 else 'are'} left: draw further seeds of both and start another test."
        return f"{told}."


def results_of(tests: Sequence[BlindTest], first: Checkpoint, second: Checkpoint) -> Results:
    """What the tests of the two checkpoints, either way round, say of `first`. Two queries."""
    is_first = {test.pk: Choice.A if test.checkpoint_a_id == first.pk else Choice.B for test in tests}
    pairs = {pair.pk: pair for pair in Pair.objects.filter(test__in=tests)}
    votes = list(Vote.objects.filter(pair__in=pairs, withdrawn_at=None).select_related("by"))
    originals = {pk: pair.prompt for pk, pair in pairs.items() if pair.repeat_of_id is None}

    def won(vote: Vote) -> bool | None:
        """Whether the vote is for the first; None for a tie."""
        return None if vote.choice == Choice.TIE else vote.choice == is_first[pairs[vote.pair_id].test_id]

    evidence = _evidence([(_original(pairs[vote.pair_id]), won(vote)) for vote in votes if vote.is_blind])
    prompts: dict[str, Tally] = {}
    for pk, outcome in evidence.items():
        _count(prompts.setdefault(originals[pk], Tally()), outcome)
    decided = tuple(outcome for outcome in evidence.values() if outcome is not None)
    return Results(
        first=first,
        second=second,
        proof=Proof(decided, ties=len(evidence) - len(decided)),
        n_pairs=len(originals),
        undecided=len(originals) - len(decided),
        prompts=prompts,
        voters=_voters([(vote, pairs[vote.pair_id], won(vote)) for vote in votes]),
    )


def _original(pair: Pair) -> int:
    return pair.repeat_of_id or pair.pk


def _evidence(said: Iterable[tuple[int, bool | None]]) -> dict[int, bool | None]:
    """Each pair's outcome: its first vote that decides, in the order in which they were decided; a tie before that."""
    found: dict[int, bool | None] = {}
    for pair, outcome in said:
        if found.get(pair) is None:
            found.pop(pair, None)
            found[pair] = outcome
    return found


def _voters(said: Iterable[tuple[Vote, Pair, bool | None]]) -> list[Voter]:
    voters: dict[int, Voter] = {}
    choices: dict[tuple[int, int], str] = {}
    again: list[tuple[Voter, Vote, Pair]] = []
    for vote, pair, outcome in said:
        voter = voters.setdefault(vote.by_id, Voter(vote.by))
        if not vote.is_blind:
            voter.seeing += 1
        elif pair.repeat_of_id is None:
            choices[vote.by_id, pair.pk] = vote.choice
            _count(voter.tally, outcome)
        else:
            again.append((voter, vote, pair))
    for voter, vote, pair in again:
        first = choices.get((vote.by_id, _original(pair)))
        if first is not None:
            voter.repeats.append((first, vote.choice))
    return list(voters.values())


def _count(tally: Tally, outcome: bool | None) -> None:
    if outcome is None:
        tally.ties += 1
    elif outcome:
        tally.wins += 1
    else:
        tally.losses += 1
