"""What one person sees of a blind test: the order of its pairs, which picture is left, what waits for their vote."""

from __future__ import annotations

import hashlib

from django.contrib.auth.models import User

from evaluation.blind_models import BlindTest, Choice, Pair, Vote
from evaluation.models import TestRender
from punklab.files import sha256_of

LEFT, RIGHT, TIE = "left", "right", "tie"
APART = 3  # places between a pair and its repeat, where there are as many


class BlindError(Exception):
    """What cannot be done with a blind test; the message is a sentence that says what to do."""


def order_for(test: BlindTest, by: User) -> list[Pair]:
    """The test's pairs in a person's own order: drawn once, the same at every visit, no repeat beside its first. A query."""
    pairs = list(test.pairs.select_related("render_a", "render_b").order_by("pk"))
    firsts = [pair for pair in pairs if pair.repeat_of_id is None]
    found = sorted(firsts, key=lambda pair: _drawn("order", test, by, pair.pk))
    for repeat in (pair for pair in pairs if pair.repeat_of_id is not None):
        first = next(place for place, pair in enumerate(found) if pair.pk == repeat.repeat_of_id)
        apart = {place: place - first if place > first else first + 1 - place for place in range(len(found) + 1)}
        free = [place for place, distance in apart.items() if distance >= min(APART, max(apart.values()))]
        found.insert(free[_drawn("order", test, by, repeat.pk) % len(free)], repeat)
    return found


def pair_at(test: BlindTest, place: int, by: User) -> Pair:
    """The pair at a place, from 1, of a person's order. Raises BlindError."""
    order = order_for(test, by)
    if not 1 <= place <= len(order):
        raise BlindError(f"There is no pair {place} in this test: it has {len(order)}.")
    return order[place - 1]


def left_of(test: BlindTest, pair: Pair, by: User) -> Choice:
    """Which of the two a person sees on the left: drawn for each person and pair, the other one in a repeat."""
    side = (Choice.A, Choice.B)[_drawn("side", test, by, pair.repeat_of_id or pair.pk) % 2]
    return side if pair.repeat_of_id is None else other(side)


def shown(test: BlindTest, pair: Pair, side: str, by: User) -> TestRender:
    """The picture that a person sees on that side, left or right."""
    is_a = (left_of(test, pair, by) == Choice.A) == (side == LEFT)
    return pair.render_a if is_a else pair.render_b


def voted(test: BlindTest, by: User) -> set[int]:
    """The keys of the pairs that have a person's vote."""
    return set(Vote.objects.filter(pair__test=test, by=by, withdrawn_at=None).values_list("pair_id", flat=True))


def next_place(test: BlindTest, by: User, *, after: int = 0, order: list[Pair] | None = None) -> int | None:
    """The first place after `after` that waits for a person's vote, else the first before it; None when all is said.

    Pairs whose pictures are gone or changed wait for nobody."""
    order = order_for(test, by) if order is None else order
    done = voted(test, by)
    places = [*range(after, len(order)), *range(min(after, len(order)))]
    return next((place + 1 for place in places if order[place].pk not in done and not fault_of(order[place])), None)


def fault_of(pair: Pair) -> str:
    """Why a pair takes no vote any more, not saying which side it is; empty while its pictures are those compared."""
    for render, sha256 in ((pair.render_a, pair.sha256_a), (pair.render_b, pair.sha256_b)):
        try:
            is_same = render.finished_path is not None and sha256_of(render.finished_path) == sha256
        except OSError:
            is_same = False
        if not is_same:
            return (
                f"A picture of “{pair.prompt[:60]}”, seed {pair.seed}, is gone or was changed since the test began: this "
                "pair takes no vote. Bring the file back from a backup, or go on with the others."
            )
    return ""


def said_of(vote: Vote) -> str:
    """Left, right or tie, as the person who voted saw it."""
    if vote.choice == Choice.TIE:
        return TIE
    return LEFT if vote.choice == vote.left else RIGHT


def other(side: Choice) -> Choice:
    """The other one of the two."""
    return Choice.B if side == Choice.A else Choice.A


def _drawn(what: str, test: BlindTest, by: User, number: int) -> int:
    """A number that looks drawn at random and is the same for the same test, person and pair."""
    return int(hashlib.sha256(f"{what} {test.key} {by.pk} {number}".encode()).hexdigest(), 16)
