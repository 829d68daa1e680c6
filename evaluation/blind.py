"""Blind pairs: to start a test of two checkpoints, to vote, to take a vote back, to look, to withdraw the test."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone

from evaluation.blind_common import common
from evaluation.blind_models import BlindTest, Choice, Pair, Unblinding, Vote
from evaluation.blind_order import LEFT, RIGHT, TIE, BlindError, fault_of, left_of, order_for, other, pair_at, said_of
from punklab.roles import SCORE, role_for
from runs.models import Checkpoint

REPEATED_SHARE = 1 / 6  # of the pairs, shown once more


def start(checkpoint_a: Checkpoint, checkpoint_b: Checkpoint, *, by: User | None, note: str = "") -> BlindTest:
    """Begin a test of all pictures that two checkpoints drew of the same prompts and seeds and nobody compares yet.

    Pictures with the same bytes are left out and counted. Raises BlindError when nothing is left to compare,
    PermissionDenied when `by` may not score."""
    _refuse(by)
    if checkpoint_a.pk == checkpoint_b.pk:
        raise BlindError(f"{checkpoint_a} cannot be compared with itself: choose another.")
    with transaction.atomic():
        # Of two who start the same at once the second waits, and finds the first's pairs.
        both = Checkpoint.objects.filter(pk__in=(checkpoint_a.pk, checkpoint_b.pk)).order_by("pk")
        list(both.select_for_update(no_key=True))
        found = common(checkpoint_a, checkpoint_b)
        if not found.pairs:
            raise BlindError(found.why_none(checkpoint_a, checkpoint_b))
        test = BlindTest.objects.create(
            checkpoint_a=checkpoint_a, checkpoint_b=checkpoint_b, n_identical=found.identical, note=note.strip(), by=by
        )
        pairs = Pair.objects.bulk_create(
            Pair(
                test=test,
                render_a=each.render_a,
                render_b=each.render_b,
                prompt=each.render_a.request["prompt"],
                seed=each.render_a.request["seed"],
                sha256_a=each.sha256_a,
                sha256_b=each.sha256_b,
            )
            for each in found.pairs
        )
        Pair.objects.bulk_create(_repeats(pairs))
    return test


def vote(test: BlindTest, place: int, said: str, *, by: User) -> Vote:
    """Keep a person's word (left, right or tie) on the pair at that place of their own order; return the vote.

    The same word once more returns the vote that is there. Raises BlindError for a test that was withdrawn, a place or a
    word that does not exist, a picture that is not the one compared, and another word on a pair that has one."""
    _refuse(by)
    if said not in (LEFT, RIGHT, TIE):
        raise BlindError(f"{said!r} is no vote: say left, right or tie.")
    with transaction.atomic():
        _hold(test)
        pair = pair_at(test, place, by)
        left = left_of(test, pair, by)
        choice = {LEFT: left, RIGHT: other(left), TIE: Choice.TIE}[said]
        present = Vote.objects.filter(pair=pair, by=by, withdrawn_at=None).first()
        if present is None:
            if fault := fault_of(pair):
                raise BlindError(fault)
            present = _cast(test, pair, left, choice, by)
    if present.choice != choice:
        raise BlindError(f"You said {said_of(present)} of pair {place} already: undo that first to say {said}.")
    return present


def undo(test: BlindTest, *, by: User) -> int:
    """Take a person's last vote in a test back and return its place; the row stays and says when.

    Raises BlindError where there is none or the test was withdrawn."""
    _refuse(by)
    with transaction.atomic():
        _hold(test)
        last = Vote.objects.filter(pair__test=test, by=by, withdrawn_at=None).last()
        if last is None:
            raise BlindError("There is no vote of yours to take back in this test.")
        last.withdrawn_at = timezone.now()
        last.save(update_fields=["withdrawn_at"])
    return [pair.pk for pair in order_for(test, by)].index(last.pair_id) + 1


def look(test: BlindTest, *, by: User) -> None:
    """Note that a voter looks at the results: what they say from then on is not blind."""
    if by.has_perm(SCORE) and not test.withdrawn_at:
        Unblinding.objects.get_or_create(test=test, by=by)


def may_see(tests: Sequence[BlindTest], by: User) -> bool:
    """Whether a person may see the results of all these tests at once: of each they looked already, or it was withdrawn,
    or they cannot vote. A query."""
    if not by.has_perm(SCORE):
        return True
    standing = [test for test in tests if not test.withdrawn_at]
    return Unblinding.objects.filter(test__in=standing, by=by).count() == len(standing)


def has_looked(test: BlindTest, by: User) -> bool:
    """Whether a voter looked at the results."""
    return Unblinding.objects.filter(test=test, by=by).exists()


def withdraw(test: BlindTest, *, by: User | None, why: str) -> None:
    """End a test so that it no longer counts; pairs and votes stay. Raises BlindError without a reason or when it was
    withdrawn before, PermissionDenied when `by` may not score."""
    _refuse(by)
    if not why.strip():
        raise BlindError("Say why the test is withdrawn: its votes stay, and no longer count.")
    facts = {"withdrawn_at": timezone.now(), "withdrawn_by": by, "withdrawn_why": why.strip()}
    if not BlindTest.objects.filter(pk=test.pk, withdrawn_at=None).update(**facts):
        raise BlindError("This test was withdrawn already.")


def _refuse(by: User | None) -> None:
    if by is not None and not by.has_perm(SCORE):
        raise PermissionDenied(f"{by} may not compare pictures: it needs the role {role_for(SCORE)}.")


def _hold(test: BlindTest) -> None:
    """Hold the test's row, so that it is not withdrawn meanwhile. Raises BlindError when it was."""
    row = BlindTest.objects.select_for_update(of=("self",)).select_related("withdrawn_by").get(pk=test.pk)
    if row.withdrawn_at:
        by = row.withdrawn_by or "the command line"
        raise BlindError(f"This test was withdrawn by {by} ({row.withdrawn_why}): it takes no votes any more.")


def _cast(test: BlindTest, pair: Pair, left: Choice, choice: Choice, by: User) -> Vote:
    try:
        with transaction.atomic():
            return Vote.objects.create(pair=pair, by=by, left=left, choice=choice, is_blind=not has_looked(test, by))
    except IntegrityError:  # the same person, a moment before
        return Vote.objects.get(pair=pair, by=by, withdrawn_at=None)


def _repeats(pairs: Sequence[Pair]) -> Iterable[Pair]:
    """Unsaved rows that show some pairs once more; a single pair could only follow itself."""
    n = max(1, round(len(pairs) * REPEATED_SHARE)) if len(pairs) > 1 else 0
    fields = ("test", "render_a", "render_b", "prompt", "seed", "sha256_a", "sha256_b")
    for pair in secrets.SystemRandom().sample(list(pairs), n):
        yield Pair(repeat_of=pair, **{name: getattr(pair, name) for name in fields})
