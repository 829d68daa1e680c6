from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection

from evaluation import blind, blind_order, suite
from evaluation.blind_models import BlindTest, Pair, Unblinding, Vote
from evaluation.blind_order import BlindError
from evaluation.blind_results import results_of
from evaluation.models import EpochResult, TestRender
from evaluation.proof import State
from evaluation.results import checkpoint_of
from runs.models import Checkpoint, TrainingRun
from tests.factories import make_checkpoint, make_drawn, make_run, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]


@pytest.fixture
def run(db: None) -> TrainingRun:
    return make_run(run_name="compared")


@pytest.fixture
def reviewer():
    return make_user("reviewer")


def drawn(run: TrainingRun, epoch: int, **facts: int) -> Checkpoint:
    return file_of(make_drawn(run, epoch, **facts))


def file_of(result: EpochResult) -> Checkpoint:
    found = checkpoint_of(result)
    assert found is not None
    return found


def path_of(render: TestRender) -> Path:
    return Path(settings.STORAGE_DIR) / render.finished


def votes_for(test: BlindTest, choice: str, by, *, n: int | None = None) -> None:
    """Votes for a or b (or tie) on the first n pairs that wait."""
    while (place := blind_order.next_place(test, by)) and n != 0:
        left = blind_order.left_of(test, blind_order.pair_at(test, place, by), by)
        blind.vote(test, place, "tie" if choice == "tie" else "left" if left == choice else "right", by=by)
        n = None if n is None else n - 1


def found_in(test: BlindTest):
    return results_of([test], test.checkpoint_a, test.checkpoint_b)


def test_a_test_holds_every_prompt_and_seed_that_both_drew_with_their_hashes(run, reviewer) -> None:
    new, old = drawn(run, 2, prompts=6, seeds=2), drawn(run, 1, prompts=4, seeds=3)
    test = blind.start(new, old, by=reviewer, note=" better hair? ")
    firsts = test.pairs.filter(repeat_of=None)
    assert (firsts.count(), test.pairs.count(), test.by, test.note) == (8, 9, reviewer, "better hair?")
    for pair in test.pairs.select_related("render_a", "render_b"):
        assert (pair.render_a.checkpoint_id, pair.render_b.checkpoint_id) == (new.pk, old.pk)
        assert pair.render_a.test_prompt == pair.render_b.test_prompt
        assert pair.seed == pair.render_a.request["seed"] == pair.render_b.request["seed"]
        assert pair.prompt == pair.render_a.request["prompt"]
        assert len({pair.sha256_a, pair.sha256_b}) == 2
    assert {pair.seed for pair in firsts} == {42, 1042}


def test_equal_pictures_are_left_out_and_counted(run, reviewer) -> None:
    new, old = drawn(run, 2, seeds=1), drawn(run, 1, seeds=1)
    one, other = new.test_renders.all()[0], old.test_renders.all()[0]
    path_of(one).write_bytes(path_of(other).read_bytes())
    test = blind.start(new, old, by=reviewer)
    assert (test.n_identical, test.pairs.filter(repeat_of=None).count()) == (1, 5)


def test_what_cannot_be_compared_is_refused_with_the_mend(run, reviewer) -> None:
    new, old, bare = drawn(run, 2, prompts=1), drawn(run, 1, prompts=1), make_checkpoint(run=run, epoch=3)
    with pytest.raises(BlindError, match="with itself"):
        blind.start(new, new, by=reviewer)
    with pytest.raises(BlindError, match="queue tests for both"):
        blind.start(new, bare, by=reviewer)
    with pytest.raises(PermissionDenied, match="role reviewer"):
        blind.start(new, old, by=make_user("viewer"))
    blind.start(new, old, by=reviewer)
    for pair in ((new, old), (old, new)):
        with pytest.raises(BlindError, match="compared in a test already"):
            blind.start(*pair, by=reviewer)
    third = drawn(run, 4, prompts=1, seeds=1)
    path_of(third.test_renders.get()).unlink()
    with pytest.raises(BlindError, match=r"renders/.*cannot be read: No such file"):
        blind.start(third, old, by=reviewer)
    assert BlindTest.objects.count() == 1


def test_a_second_test_takes_only_the_seeds_that_are_new(run, reviewer) -> None:
    new, old = drawn(run, 2, seeds=1), drawn(run, 1, seeds=1)
    first = blind.start(new, old, by=reviewer)
    for checkpoint in (new, old):
        for render in list(checkpoint.test_renders.all()):
            other = path_of(render).with_name(f"{render.pk}-again.png")
            other.write_bytes(path_of(render).read_bytes())
            TestRender.objects.create(
                checkpoint=checkpoint,
                test_prompt=render.test_prompt,
                request={**render.request, "seed": 1042},
                digest=f"again {render.digest}",
                status=render.status,
                finished=f"renders/{other.name}",
            )
    second = blind.start(old, new, by=reviewer)
    assert set(second.pairs.values_list("seed", flat=True)) == {1042}
    votes_for(first, "a", reviewer)
    votes_for(second, "b", reviewer)
    together = results_of([first, second], new, old)
    assert (together.proof.wins, together.proof.losses, together.proof.state) == (12, 0, State.WON)
    assert results_of([first, second], old, new).proof.state == State.LOST


def test_order_and_sides_differ_between_people_and_stay_for_one(run) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=None)
    people = [make_user("reviewer") for _ in range(12)]
    orders = [[pair.pk for pair in blind_order.order_for(test, person)] for person in people]
    assert len({tuple(order) for order in orders}) == len(people)
    assert orders[0] == [pair.pk for pair in blind_order.order_for(test, people[0])]
    sides = [blind_order.left_of(test, pair, person) for person in people for pair in test.pairs.all()]
    assert 0.3 < sum(side == "a" for side in sides) / len(sides) < 0.7


@pytest.mark.parametrize(("prompts", "seeds", "repeats"), [(1, 1, 0), (2, 1, 1), (3, 1, 1), (6, 2, 2), (6, 6, 6)])
def test_one_pair_of_six_comes_again_with_the_sides_swapped_and_never_next_to_the_first(
    run, prompts, seeds, repeats
) -> None:
    test = blind.start(
        drawn(run, 2, prompts=prompts, seeds=seeds), drawn(run, 1, prompts=prompts, seeds=seeds), by=None
    )
    assert test.pairs.exclude(repeat_of=None).count() == repeats
    for person in (make_user("reviewer") for _ in range(8)):
        order = blind_order.order_for(test, person)
        assert len(order) == prompts * seeds + repeats
        places = {pair.pk: place for place, pair in enumerate(order)}
        for pair in order:
            if pair.repeat_of is not None:
                assert abs(places[pair.pk] - places[pair.repeat_of_id]) > 1
                assert blind_order.left_of(test, pair, person) != blind_order.left_of(test, pair.repeat_of, person)


def test_a_vote_keeps_who_said_what_and_which_picture_was_left(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    pair = blind_order.pair_at(test, 3, reviewer)
    left = blind_order.left_of(test, pair, reviewer)
    vote = blind.vote(test, 3, "right", by=reviewer)
    assert (vote.pair, vote.by, vote.left, vote.is_blind) == (pair, reviewer, left, True)
    assert vote.choice == {"a": "b", "b": "a"}[left]
    assert blind_order.shown(test, pair, "left", reviewer) == (pair.render_a if left == "a" else pair.render_b)
    assert blind_order.said_of(vote) == "right"


def test_the_same_vote_twice_is_one_and_another_on_the_same_pair_is_refused(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    first = blind.vote(test, 1, "left", by=reviewer)
    assert blind.vote(test, 1, "left", by=reviewer) == first
    with pytest.raises(BlindError, match="You said left of pair 1 already: undo that first to say tie"):
        blind.vote(test, 1, "tie", by=reviewer)
    for place, said in ((0, "left"), (99, "left"), (2, "both")):
        with pytest.raises(BlindError, match=r"no pair|no vote"):
            blind.vote(test, place, said, by=reviewer)
    with pytest.raises(PermissionDenied):
        blind.vote(test, 1, "left", by=make_user("viewer"))
    assert Vote.objects.get() == first


@pytest.mark.django_db(transaction=True)
def test_a_vote_sent_four_times_at_once_is_kept_once() -> None:
    run = make_run()
    reviewer = make_user("reviewer")
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    meet, kept = threading.Barrier(4), []

    def send():
        try:
            meet.wait(10)
            kept.append(blind.vote(test, 1, "left", by=reviewer).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(kept) == 4
    assert set(kept) == {Vote.objects.get().pk}


def test_undo_takes_the_last_vote_back_and_keeps_its_row(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    with pytest.raises(BlindError, match="no vote of yours"):
        blind.undo(test, by=reviewer)
    blind.vote(test, 1, "left", by=reviewer)
    blind.vote(test, 2, "left", by=reviewer)
    assert blind.undo(test, by=reviewer) == 2
    assert blind_order.next_place(test, reviewer) == 2
    again = blind.vote(test, 2, "right", by=reviewer)
    taken = Vote.objects.exclude(withdrawn_at=None).get()
    assert (Vote.objects.count(), taken.pair, taken.choice) == (3, again.pair, taken.left)
    assert found_in(test).proof.n == len({blind_order.pair_at(test, 1, reviewer).pk, again.pair_id})


def test_a_withdrawn_test_takes_no_votes_and_says_who_withdrew_it_and_why(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    blind.vote(test, 1, "left", by=reviewer)
    with pytest.raises(BlindError, match="Say why"):
        blind.withdraw(test, by=reviewer, why=" ")
    blind.withdraw(test, by=reviewer, why="wrong epoch")
    for act in (lambda: blind.vote(test, 2, "left", by=reviewer), lambda: blind.undo(test, by=reviewer)):
        with pytest.raises(BlindError, match=rf"withdrawn by {reviewer} \(wrong epoch\)"):
            act()
    with pytest.raises(BlindError, match="withdrawn already"):
        blind.withdraw(test, by=reviewer, why="again")
    assert Vote.objects.get().withdrawn_at is None
    assert Pair.objects.filter(test=test).exists()


@pytest.mark.parametrize("gone", [True, False])
def test_a_picture_that_is_gone_or_changed_takes_its_pair_out_of_the_vote(run, reviewer, gone) -> None:
    test = blind.start(drawn(run, 2, prompts=3, seeds=1), drawn(run, 1, prompts=3, seeds=1), by=reviewer)
    pair = blind_order.pair_at(test, 1, reviewer)
    twins = {pair.pk, pair.repeat_of_id, *pair.repeats.values_list("pk", flat=True)} - {None}
    if gone:
        path_of(pair.render_b).unlink()
    else:
        path_of(pair.render_b).write_bytes(b"another")
    with pytest.raises(BlindError, match="gone or was changed"):
        blind.vote(test, 1, "left", by=reviewer)
    votes_for(test, "a", reviewer)
    assert Vote.objects.count() == test.pairs.count() - len(twins)


def test_each_two_pictures_count_once_however_many_people_and_repeats_say_so(run) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=None)
    first, second = make_user("reviewer"), make_user("reviewer")
    votes_for(test, "a", first, n=4)
    votes_for(test, "b", second)
    found = found_in(test)
    pairs_of_first = {vote.pair.repeat_of_id or vote.pair_id for vote in Vote.objects.filter(by=first)}
    assert (found.proof.wins, found.proof.n, found.n_pairs) == (len(pairs_of_first), 12, 12)
    assert {voter.by: voter.tally.losses for voter in found.voters} == {first: 0, second: 12}
    assert sum(tally.total for tally in found.prompts.values()) == 12
    assert len(found.prompts) == 6


def test_a_tie_decides_nothing_until_somebody_else_decides(run) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=None)
    votes_for(test, "tie", make_user("reviewer"))
    found = found_in(test)
    assert (found.proof.n, found.proof.ties, found.undecided) == (0, 12, 12)
    assert found.sentence == "No pair is decided yet: nothing is proven."
    votes_for(test, "a", make_user("reviewer"))
    found = found_in(test)
    assert (found.proof.wins, found.proof.ties, found.undecided) == (12, 0, 0)
    assert found.sentence.endswith("it is better.")
    assert (found.consistency.same, found.consistency.n) == (4, 4)


def test_somebody_who_always_presses_left_is_consistent_in_nothing(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    for place in range(1, test.pairs.count() + 1):
        blind.vote(test, place, "left", by=reviewer)
    assert (found_in(test).consistency.same, found_in(test).consistency.n) == (0, 2)


def test_votes_after_looking_are_kept_and_do_not_count(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    votes_for(test, "a", reviewer, n=3)
    before = found_in(test).proof
    assert not blind.may_see([test], reviewer)
    blind.look(test, by=reviewer)
    blind.look(test, by=reviewer)
    assert blind.may_see([test], reviewer)
    assert Unblinding.objects.get().by == reviewer
    votes_for(test, "a", reviewer)
    found = found_in(test)
    assert found.proof == before
    assert found.seeing == test.pairs.count() - 3
    viewer = make_user("viewer")
    assert blind.may_see([test], viewer)
    blind.look(test, by=viewer)
    assert Unblinding.objects.count() == 1


def test_the_sentence_says_what_would_settle_it(run, reviewer) -> None:
    test = blind.start(drawn(run, 2), drawn(run, 1), by=reviewer)
    votes_for(test, "b", reviewer, n=3)
    told = found_in(test).sentence
    assert "compared epoch 2 won 0 of" in told
    assert "more decided pairs would settle it." in told
    votes_for(test, "tie", reviewer)
    other = make_user("reviewer")
    votes_for(test, "a", other, n=4)
    assert ": that is not settled. At this rate" in found_in(test).sentence


@pytest.mark.usefixtures("six_prompts")
def test_further_seeds_are_the_same_for_both_and_queued_once(run) -> None:
    one, other = make_checkpoint(run=run, epoch=1), make_checkpoint(run=run, epoch=2)
    for checkpoint in (one, other):
        suite.queue(checkpoint)
        assert suite.queue_repeats(checkpoint) == 6
        assert suite.queue_seeds(checkpoint, 5) == 24
        assert suite.queue_seeds(checkpoint, 5) == 0
    seeds = [set(each.test_renders.values_list("test_prompt", "request__seed")) for each in (one, other)]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 6 * (3 + 5), "three of the suite, five further looks"
    with pytest.raises(suite.SuiteError, match="from 1 to 20"):
        suite.queue_seeds(one, 21)
