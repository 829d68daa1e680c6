from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse

from evaluation import blind, blind_order
from evaluation.blind_models import BlindTest, Unblinding, Vote
from evaluation.models import TestRender
from evaluation.results import checkpoint_of
from tests.factories import make_drawn, make_run, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def epochs(db: None):
    run = make_run(run_name="secretive")
    return make_drawn(run, 1), make_drawn(run, 2)


@pytest.fixture
def test_of_both(epochs) -> BlindTest:
    old, new = (checkpoint_of(result) for result in epochs)
    assert old is not None
    assert new is not None
    return blind.start(new, old, by=None, note="hush")


def page(client, name: str, *args: object) -> str:
    answer = client.get(reverse(f"evaluation:{name}", args=args))
    assert answer.status_code == 200, answer
    return unescape(answer.content.decode())


def cast(client, test: BlindTest, place: int, said: str, **headers: str):
    sent = {"place": place, "said": said}
    return client.post(reverse("evaluation:pairs_cast", args=(test.pk,)), sent, headers=headers)


def test_a_reviewer_starts_a_test_from_the_epochs_page(client, epochs) -> None:
    old, new = epochs
    client.force_login(make_user("reviewer"))
    address = reverse("evaluation:pairs_start", args=(new.pk,))
    for where in (
        reverse("admin:evaluation_epochresult_change", args=(new.pk,)),
        reverse("admin:runs_trainingrun_change", args=(new.training_run_id,)),
    ):
        assert f'href="{address}"' in client.get(where).content.decode()
    rival = checkpoint_of(old)
    assert rival is not None
    offered = page(client, "pairs_start", new.pk)
    assert "secretive epoch 1 (12 pairs)" in offered
    assert "secretive epoch 2 (" not in offered
    answer = client.post(address, {"rival": rival.pk, "note": "hair"})
    test = BlindTest.objects.get()
    assert answer.url == reverse("evaluation:pairs_vote", args=(test.pk,))
    assert (test.checkpoint_a, test.checkpoint_b, test.note) == (checkpoint_of(new), rival, "hair")
    again = client.post(address, {"rival": rival.pk}).content.decode()
    assert "compared in a test already" in again
    assert "choose another" in client.post(address, {"rival": test.checkpoint_a_id}).content.decode()
    assert "secretive epoch 2 against secretive epoch 1" in page(client, "pairs")


def test_an_operator_draws_further_seeds_of_both_from_the_same_page(client, epochs) -> None:
    old, new = epochs
    rival = checkpoint_of(old)
    assert rival is not None
    address = reverse("evaluation:pairs_start", args=(new.pk,))
    client.force_login(make_user("reviewer"))
    assert "Draw them" not in client.get(address).content.decode()
    assert client.post(address, {"rival": rival.pk, "seeds": 3, "draw": "1"}).status_code == 403
    client.force_login(make_user("operator"))
    assert "from 1 to 20" not in client.get(address).content.decode()
    assert (
        "less than or equal to 20"
        in client.post(address, {"rival": rival.pk, "seeds": 99, "draw": "1"}).content.decode()
    )
    answer = client.post(address, {"rival": rival.pk, "seeds": 3, "draw": "1"}, follow=True).content.decode()
    assert "pictures are queued, with 3 further seeds" in answer
    queued = TestRender.objects.filter(status="queued")
    assert {render.checkpoint for render in queued} == {checkpoint_of(old), checkpoint_of(new)}
    assert not BlindTest.objects.exists()


def test_an_epoch_that_nothing_can_be_compared_with_says_what_to_draw(client, epochs) -> None:
    client.force_login(make_user("reviewer"))
    lone = make_drawn(make_run(), 1, prompts=0)
    assert "queue tests for this epoch and for the one to compare with" in page(client, "pairs_start", lone.pk)


def test_the_voting_page_and_its_pictures_do_not_tell_whose_is_whose(client, test_of_both) -> None:
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    renders = TestRender.objects.all()
    for place in range(1, test_of_both.pairs.count() + 1):
        pair = blind_order.pair_at(test_of_both, place, reviewer)
        answer = client.get(f"{reverse('evaluation:pairs_vote', args=(test_of_both.pk,))}?place={place}")
        source = unescape(answer.content.decode())
        content = source[source.index('<div id="content-main"') : source.index("<script", source.index("content-main"))]
        assert "no-store" in answer["Cache-Control"]
        assert pair.prompt in content
        for told in ("secretive", "epoch", "hush", "sha256", pair.sha256_a, pair.sha256_b, "checkpoint", "render"):
            assert told not in content.lower(), told
        assert not any(render.finished in source for render in renders)
        addresses = re.findall(r'<img[^>]* src="([^"]+)"', content)
        assert addresses == [
            reverse("evaluation:pairs_picture", args=(test_of_both.pk, place, side)) for side in ("left", "right")
        ]
        shown = [client.get(address) for address in addresses]
        for side, picture in zip(("left", "right"), shown, strict=True):
            render = blind_order.shown(test_of_both, pair, side, reviewer)
            assert render.finished_path is not None
            assert picture.content == render.finished_path.read_bytes()
            assert "no-store" in picture["Cache-Control"]
            assert not {"Content-Disposition", "ETag", "Last-Modified"} & set(picture.headers)
    assert client.get(reverse("evaluation:pairs_picture", args=(test_of_both.pk, 99, "left"))).status_code == 404
    assert client.get(reverse("evaluation:pairs_picture", args=(test_of_both.pk, 1, "a"))).status_code == 404


def test_votes_by_plain_forms_lead_from_pair_to_pair_and_to_the_end(client, test_of_both) -> None:
    client.force_login(make_user("reviewer"))
    n = test_of_both.pairs.count()
    for place in range(1, n + 1):
        answer = cast(client, test_of_both, place, "left")
        assert answer.status_code == 302
    final = unescape(client.get(answer.url).content.decode())
    assert f"{n} of {n} voted" in final
    assert "Show what they prove" in final
    undone = client.post(reverse("evaluation:pairs_undo", args=(test_of_both.pk,)))
    assert undone.url.endswith(f"?place={n}")
    assert f'name="place" value="{n}"' in client.get(undone.url).content.decode()


def test_the_pages_script_gets_the_next_pair_or_a_sentence(client, test_of_both) -> None:
    client.force_login(make_user("reviewer"))
    answer = cast(client, test_of_both, 1, "left", Accept="application/json")
    assert answer.status_code == 200
    facts = answer.json()
    assert (facts["place"], facts["following"], facts["n_done"], facts["problem"]) == (2, 3, 1, "")
    refused = cast(client, test_of_both, 1, "tie", Accept="application/json")
    assert refused.status_code == 409
    assert "You said left of pair 1 already" in refused.json()["problem"]
    assert refused.json()["place"] == 2
    assert "no vote" in cast(client, test_of_both, 2, "", Accept="application/json").json()["problem"]
    assert "no pair 0" in cast(client, test_of_both, 0, "left", Accept="application/json").json()["problem"]
    assert Vote.objects.count() == 1


def test_results_are_hidden_from_a_voter_until_they_ask_for_them(client, test_of_both) -> None:
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    cast(client, test_of_both, 1, "left")
    before = page(client, "pairs_results", test_of_both.pk)
    assert "stay hidden until you ask for them" in before
    assert "won" not in before
    assert not Unblinding.objects.exists()
    answer = client.post(reverse("evaluation:pairs_results", args=(test_of_both.pk,)), follow=True)
    assert "decided pairs against" in unescape(answer.content.decode())
    assert Unblinding.objects.get().by == reviewer
    assert "marked as not blind" in page(client, "pairs_vote", test_of_both.pk)
    cast(client, test_of_both, 2, "left")
    assert "1 vote given after looking, not counted" in page(client, "pairs_results", test_of_both.pk)
    listed = client.get(reverse("admin:evaluation_vote_change", args=(Vote.objects.first().pk,))).content.decode()
    assert "field-choice" not in listed


def test_a_reviewer_withdraws_a_test_and_its_votes_are_refused_from_then_on(client, test_of_both) -> None:
    client.force_login(make_user("reviewer"))
    address = reverse("evaluation:pairs_withdraw", args=(test_of_both.pk,))
    assert "Say why" in client.post(address, {"why": ""}, follow=True).content.decode()
    assert "wrong epoch" in client.post(address, {"why": "wrong epoch"}, follow=True).content.decode()
    answer = cast(client, test_of_both, 1, "left", Accept="application/json")
    assert answer.status_code == 409
    assert "wrong epoch" in answer.json()["problem"]
    assert not Vote.objects.exists()
    voting = client.get(reverse("evaluation:pairs_vote", args=(test_of_both.pk,)))
    assert voting.url == reverse("evaluation:pairs_results", args=(test_of_both.pk,))


@pytest.mark.parametrize(
    ("role", "votes"), [("viewer", False), ("reviewer", True), ("operator", True), ("publisher", True)]
)
def test_who_sees_and_who_votes(client, epochs, test_of_both, role, votes) -> None:
    client.force_login(make_user(role))
    pk = test_of_both.pk
    for name, args in (("pairs", ()), ("pairs_results", (pk,))):
        page(client, name, *args)
    assert (client.get(reverse("evaluation:pairs_start", args=(epochs[1].pk,))).status_code == 200) is votes
    assert (client.get(reverse("evaluation:pairs_vote", args=(pk,))).status_code == 200) is votes
    assert (client.get(reverse("evaluation:pairs_picture", args=(pk, 1, "left"))).status_code == 200) is votes
    assert (cast(client, test_of_both, 1, "left").status_code == 302) is votes
    for name in ("pairs_undo", "pairs_withdraw"):
        assert (client.post(reverse(f"evaluation:{name}", args=(pk,)), {"why": "x"}).status_code == 302) is votes
        assert client.get(reverse(f"evaluation:{name}", args=(pk,))).status_code == 405
    assert Vote.objects.exists() is votes


def test_outsiders_see_nothing(client, test_of_both) -> None:
    for name, args in (
        ("pairs", ()),
        ("pairs_results", (test_of_both.pk,)),
        ("pairs_picture", (test_of_both.pk, 1, "left")),
    ):
        assert client.get(reverse(f"evaluation:{name}", args=args)).status_code == 302
    roleless = make_user("viewer")
    roleless.groups.clear()
    client.force_login(roleless)
    assert client.get(reverse("evaluation:pairs_results", args=(test_of_both.pk,))).status_code == 403


def test_the_pages_take_the_same_queries_for_few_votes_and_for_many(client, django_assert_max_num_queries) -> None:
    run = make_run()
    small = [checkpoint_of(make_drawn(run, epoch, prompts=2, seeds=1)) for epoch in (1, 2)]
    large = [checkpoint_of(make_drawn(run, epoch, prompts=6, seeds=6)) for epoch in (3, 4)]
    few, many = (blind.start(*both, by=None) for both in (small, large))  # type: ignore[arg-type]
    voters = [make_user("reviewer") for _ in range(4)]
    for voter in voters:
        for test in (few, many):
            for place in range(1, test.pairs.count()):
                blind.vote(test, place, "left", by=voter)
    for voter in voters:
        blind.look(few, by=voter)
        blind.look(many, by=voter)
    client.force_login(voters[0])
    for name in ("pairs_results", "pairs_vote"):
        with django_assert_max_num_queries(20) as one:
            page(client, name, few.pk)
        with django_assert_max_num_queries(len(one)) as other:
            page(client, name, many.pk)
        assert len(other) == len(one), name


def test_of_many_pictures_that_are_gone_a_few_are_named(client, test_of_both) -> None:
    for render in TestRender.objects.filter(checkpoint=test_of_both.checkpoint_a):
        assert render.finished_path is not None
        render.finished_path.unlink()
    client.force_login(make_user("reviewer"))
    shown = page(client, "pairs_vote", test_of_both.pk)
    assert shown.count("is gone or was changed since the test began") == 5
    assert "And so it is with 7 more." in shown
