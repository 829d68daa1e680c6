from __future__ import annotations

from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.urls import reverse

from deployment import gate, promotion
from deployment.judgement import Judged, Met, looked_at_item, must_haves, score_item
from deployment.models import Generation, Release
from deployment.promotion import PromotionError, blockers, doubts, faults, promote
from deployment.readiness import checklist
from evaluation import blind, blind_order
from evaluation.blind_models import BlindTest
from evaluation.metrics import MEASURED_BY
from evaluation.models import EpochResult, PictureReview, PromptTestResult, ScoreEntry, TestRender
from evaluation.results import checkpoint_of
from runs.models import TrainingRun
from tests.deployment.conftest import make_promotable, there, write_picture
from tests.factories import make_drawn, make_run, make_user

pytestmark = pytest.mark.django_db


def measured(epoch: EpochResult, **means: float) -> None:
    """Give the epoch's row these means, each over twelve pictures."""
    found = {
        "measured_by": MEASURED_BY,
        "version": 2,
        "n_pictures": 12,
        "means": means,
        "spread": {},
        "traits": {},
        "judged": dict.fromkeys(means, 12),
    }
    EpochResult.objects.filter(pk=epoch.pk).update(quantitative_metrics=found)
    epoch.refresh_from_db()


def met(items) -> dict[str, Met]:
    return {item.label: item.met for item in items}


def only(found):
    (one,) = found
    return one


@pytest.fixture
def epoch():
    return make_promotable()


@pytest.fixture
def reviewed(epoch):
    """The result of the epoch's one picture."""
    render = TestRender.objects.get()
    render.result = PromptTestResult.objects.create(epoch_result=epoch, test_prompt=render.test_prompt)
    render.save()
    return render.result


def live_rival(epoch: EpochResult) -> Release:
    """An epoch that is live, with the same pictures drawn by both: twelve pairs. Returns the release."""
    rival = make_drawn(make_run(), 1)
    mine = there(checkpoint_of(epoch))
    for number, render in enumerate(there(checkpoint_of(rival)).test_renders.all()):
        row = TestRender.objects.create(
            checkpoint=mine,
            test_prompt=render.test_prompt,
            request=render.request,
            digest=render.digest,
            priority=render.priority + 50,
            is_repeat=render.is_repeat,
        )
        write_picture(row, seed=500 + number)
    return Release.objects.create(
        checkpoint=there(checkpoint_of(rival)), reason="before", steps=7, guidance=7, scheduler="dpm", size=96,
        max_token_length=225,
    )  # fmt: skip


def vote_all(test, choice: str, by) -> None:
    while place := blind_order.next_place(test, by):
        left = blind_order.left_of(test, blind_order.pair_at(test, place, by), by)
        blind.vote(test, place, "left" if left == choice else "right", by=by)


def test_what_is_measured_wrong_blocks_and_says_how_often(epoch) -> None:
    measured(epoch, pixel_art=1.0, hair=0.25, skin=0.9, solid=0.25, background=0.9, accessories=0.3)
    assert met(must_haves(Judged(epoch))) == {
        "Pixel art": Met.YES, "Colours right": Met.NO, "Solid background": Met.NO, "Clean accessories": Met.NO,
    }  # fmt: skip
    told = blockers(epoch)
    assert "Colours right: measured: hair as asked in 25 % of 12 pictures." in told
    assert len(told) == 3
    with pytest.raises(PromotionError) as refused:
        promote(epoch, by=None, reason="fine to me")
    assert refused.value.blockers == told
    assert not Release.objects.exists()


def test_a_measure_that_so_few_pictures_show_by_chance_is_not_known_and_does_not_block(epoch) -> None:
    measured(epoch, accessories=0.6, solid=1.0)
    found = {item.label: item for item in must_haves(Judged(epoch))}
    assert found["Clean accessories"].met == Met.UNKNOWN
    assert "60 % of 12 pictures: too few pictures to tell from 7 of 10" in found["Clean accessories"].evidence
    assert found["Solid background"].met == Met.YES
    assert blockers(epoch) == []


def test_what_is_neither_measured_nor_said_is_not_known_and_does_not_block(epoch) -> None:
    assert set(met(must_haves(Judged(epoch))).values()) == {Met.UNKNOWN}
    assert blockers(epoch) == []


def test_a_person_who_said_what_is_wrong_is_believed_in_the_rest(epoch) -> None:
    measured(epoch, hair=0.25, accessories=0.5)
    critic = make_user("reviewer")
    given = dict.fromkeys(EpochResult.SCORES, 9)
    said = ScoreEntry.objects.create(epoch_result=epoch, source="person", by=critic, issues=["garbled_crown"], **given)
    found = {item.label: item for item in must_haves(Judged(epoch))}
    assert found["Colours right"].met == Met.YES
    assert "Measured: hair as asked in 25 % of 12 pictures." in found["Colours right"].evidence
    assert (found["Clean accessories"].met, found["Clean accessories"].evidence) == (
        Met.NO,
        "a person found: garbled_crown. Measured: accessories as asked in 50 % of 12 pictures.",
    )
    ScoreEntry.objects.filter(pk=said.pk).update(issues=["lad_background_beige_not_blue", "blurry like a photo"])
    assert met(must_haves(Judged(epoch))) == {
        "Pixel art": Met.NO, "Colours right": Met.YES, "Solid background": Met.NO, "Clean accessories": Met.YES,
    }  # fmt: skip


def test_marks_on_hats_count_against_accessories_and_stray_cells_against_artefacts(epoch, reviewed) -> None:
    review = PictureReview.objects.create(result=reviewed, by=make_user("reviewer"), marks={"hat": [[1, 2]]})
    assert met(must_haves(Judged(epoch)))["Clean accessories"] == Met.NO
    assert met(checklist(Judged(epoch), make_user("viewer")).nice)["No artefacts"] == Met.YES
    review.marks = {"stray": [[3, 4]], "hat": []}
    review.save()
    assert met(must_haves(Judged(epoch)))["Clean accessories"] == Met.UNKNOWN
    assert met(checklist(Judged(epoch), make_user("viewer")).nice)["No artefacts"] == Met.NO


@pytest.mark.parametrize("source", ["script", "accepted"])
def test_a_machines_scores_go_live_only_after_every_picture_was_looked_at(epoch, reviewed, source) -> None:
    if source == "script":
        EpochResult.objects.update(observations="Auto-scored: fine")
        epoch.refresh_from_db()
    else:
        given = dict.fromkeys(EpochResult.SCORES, 9)
        ScoreEntry.objects.create(epoch_result=epoch, source="accepted", by=make_user("reviewer"), **given)
    assert "look at every picture (0 of 1 looked at)" in only(faults(epoch))
    assert score_item(Judged(epoch)).met == Met.NO
    with pytest.raises(PromotionError, match="look at every picture"):
        promote(epoch, by=None, reason="trust me", override="I do not want to look")
    PictureReview.objects.create(result=reviewed, by=make_user("reviewer"))
    assert looked_at_item(Judged(epoch)).met == Met.NO  # an empty review is no look
    PictureReview.objects.update(passed=True)
    assert looked_at_item(Judged(epoch)).met == Met.YES
    assert promote(epoch, by=None, reason="all seen").is_live


def test_an_override_needs_a_reason_and_stays_with_the_release_and_in_the_notes(epoch) -> None:
    measured(epoch, hair=0.25)
    EpochResult.objects.update(prompt_adherence_score=6)
    epoch.refresh_from_db()
    against = doubts(epoch)
    assert len(against) == 2
    with pytest.raises(PromotionError):
        promote(epoch, by=None, reason="deadline", override="  ")
    release = promote(epoch, by=None, reason="deadline", override="the measure misreads pink")
    assert (release.overridden, release.override_reason) == (against, "the measure misreads pink")
    assert "(over 2 objections: the measure misreads pink)" in there(TrainingRun.objects.get().notes)


def test_an_override_that_nothing_asks_for_leaves_no_mark(epoch) -> None:
    release = promote(epoch, by=None, reason="good", override="just in case")
    assert (release.overridden, release.override_reason) == ([], "")


@pytest.mark.parametrize("fault", ["unscored", "file", "unverified", "base"])
def test_no_reason_overrides_a_fault(epoch, fault) -> None:
    if fault == "unscored":
        EpochResult.objects.update(style_match_score=None)
    elif fault == "file":
        there(there(checkpoint_of(epoch)).path).write_bytes(b"altered")
    elif fault == "unverified":
        TestRender.objects.get().verifications.all().delete()
    else:
        TrainingRun.objects.update(base_model="stabilityai/stable-diffusion-xl-base-1.0", model_type="SDXL")
    epoch = EpochResult.objects.get()
    assert faults(epoch)
    with pytest.raises(PromotionError):
        promote(epoch, by=None, reason="go", override="go on")
    assert not Release.objects.exists()


def test_a_doubt_that_came_up_meanwhile_is_not_overridden(epoch, monkeypatch) -> None:
    measured(epoch, hair=0.25)
    known = doubts(epoch)
    told = iter([known, [*known, "something new"]])
    monkeypatch.setattr(promotion, "doubts", lambda _: next(told))
    with pytest.raises(PromotionError, match=r"^something new$"):
        promote(epoch, by=None, reason="go", override="the measure errs")


def test_the_gate_asks_for_a_blind_win_over_what_is_live(epoch, settings) -> None:
    live = live_rival(epoch)
    assert blockers(epoch) == []
    settings.PROMOTION_GATE = "blind_win"
    assert "It has not been compared blind with" in only(doubts(epoch))
    mine = there(checkpoint_of(epoch))
    test = blind.start(live.checkpoint, mine, by=None)
    assert "do not prove it better" in only(doubts(epoch))
    reviewer = make_user("reviewer")
    vote_all(test, "b", reviewer)
    assert blockers(epoch) == []
    blind.withdraw(test, by=reviewer, why="wrong pictures")
    assert "has not been compared" in only(doubts(epoch))
    again = blind.start(mine, live.checkpoint, by=None)
    vote_all(again, "b", make_user("reviewer"))
    assert "do not prove it better" in only(doubts(epoch))
    release = promote(epoch, by=None, reason="ours", override="the voters saw an old finish")
    assert release.overridden == [f"Blind pairs do not prove it better than {live} (PROMOTION_GATE is blind_win)."]


def test_a_demo_and_the_base_model_are_no_rivals(epoch, settings, live) -> None:
    settings.PROMOTION_GATE = "blind_win"
    assert live.is_demo
    assert gate.rival() is None
    assert blockers(epoch) == []
    Release.objects.update(is_demo=False)
    assert gate.rival() is None


def test_a_misspelt_gate_is_an_error(settings) -> None:
    settings.PROMOTION_GATE = "blind"
    assert [found.id for found in run_checks() if "PROMOTION_GATE" in found.msg] == ["punklab.E005"]


def test_the_nice_to_haves_cite_what_is_known(epoch) -> None:
    viewer = make_user("viewer")
    assert met(checklist(Judged(epoch), viewer).nice) == {
        "Better than what is live, by blind pairs": Met.UNKNOWN,
        "Consistent over prompts and seeds": Met.UNKNOWN,
        "No artefacts": Met.UNKNOWN,
        "Not a copy of training pictures": Met.UNKNOWN,
        "Tried on the real page": Met.UNKNOWN,
    }
    live = live_rival(epoch)
    test = blind.start(there(checkpoint_of(epoch)), live.checkpoint, by=None)
    vote_all(test, "a", make_user("reviewer"))
    measured(epoch, clean=0.75, original=1.0)
    drawn: dict[str, Any] = {"prompt": "a punk", "seed": 1, "request": {}, "status": "rendered"}
    Release.objects.update(retired_at="2026-11-01T00:00Z")
    past = Release.objects.create(
        checkpoint=there(checkpoint_of(epoch)), reason="once", steps=7, guidance=7, scheduler="dpm", size=96,
        max_token_length=225, retired_at="2026-11-02T00:00Z",
    )  # fmt: skip
    Release.objects.filter(pk=live.pk).update(retired_at=None)
    Generation.objects.create(release=past, **drawn)
    for render in TestRender.objects.filter(checkpoint=past.checkpoint):
        suggested = {"visual": 8.0, "style": 9.0, "prompt": 7.0 + render.is_repeat, "reasons": ["fine"]}
        TestRender.objects.filter(pk=render.pk).update(measures={"version": 2, "suggested": suggested})
    found = {item.label: item for item in checklist(Judged(epoch), viewer).nice}
    better = found["Better than what is live, by blind pairs"]
    assert (better.met, better.url) == (Met.YES, reverse("evaluation:pairs_results", args=(test.pk,)))
    assert "won 12 of 12 decided pairs" in better.evidence
    assert found["Consistent over prompts and seeds"].met == Met.YES
    assert "another seed changes a picture's by 0.3 at most" in found["Consistent over prompts and seeds"].evidence
    assert (found["No artefacts"].met, found["No artefacts"].evidence) == (
        Met.NO,
        "measured: defects in 3 of 12 pictures.",
    )
    assert found["Not a copy of training pictures"].met == Met.YES
    assert found["Tried on the real page"].evidence == "the page drew 1 punk with it."
    voter = make_user("reviewer")
    hidden = next(iter(checklist(Judged(epoch), voter).nice))
    assert (hidden.met, "won" in hidden.evidence) == (Met.UNKNOWN, False)
    blind.look(test, by=voter)
    assert next(iter(checklist(Judged(epoch), voter).nice)).met == Met.YES


@pytest.mark.parametrize(
    ("role", "promotes"), [("viewer", False), ("reviewer", False), ("operator", False), ("publisher", True)]
)
def test_everybody_sees_the_checklist_and_a_publisher_promotes_from_there(client, epoch, role, promotes) -> None:
    measured(epoch, hair=0.25)
    client.force_login(make_user(role))
    address = reverse("readiness:ready", args=(epoch.pk,))
    for where in (
        reverse("admin:evaluation_epochresult_change", args=(epoch.pk,)),
        reverse("admin:runs_trainingrun_change", args=(epoch.training_run_id,)),
    ):
        assert f'href="{address}"' in client.get(where).content.decode()
    page = unescape(client.get(address).content.decode())
    assert "Colours right: measured: hair as asked in 25 % of 12 pictures." in page
    act = reverse("admin:evaluation_epochresult_act", args=(epoch.pk, "promote"))
    assert (f'href="{act}"' in page) is promotes
    assert client.post(address).status_code == 405
    sent = {"reason": "ours", "override": "the measure misreads pink"}
    assert (client.post(act, sent).status_code == 302) is promotes
    assert Release.objects.exists() is promotes


def test_the_promotion_page_tells_the_objections_and_wants_a_word_on_them(client, epoch) -> None:
    measured(epoch, hair=0.25)
    client.force_login(make_user("publisher"))
    act = reverse("admin:evaluation_epochresult_act", args=(epoch.pk, "promote"))
    assert "Against it stands:" in client.get(act).content.decode()
    refused = unescape(client.post(act, {"reason": "ours"}).content.decode())
    assert "<li>Colours right: measured: hair as asked in 25 % of 12 pictures.</li>" in refused
    assert not Release.objects.exists()
    client.post(act, {"reason": "ours", "override": "pink is misread"})
    listed = client.get(reverse("admin:deployment_release_changelist")).content.decode()
    assert "1 overridden" in listed
    assert "pink is misread" in listed
    page = unescape(client.get(reverse("readiness:ready", args=(epoch.pk,))).content.decode())
    assert "Went live over objections" in page
    assert "pink is misread" in page


def test_the_command_overrides_with_a_reason(epoch, monkeypatch) -> None:
    measured(epoch, hair=0.25)
    monkeypatch.setattr("deployment.tasks.verify", lambda _: None)
    monkeypatch.setattr("deployment.management.commands.promote.Command._verify", lambda *_: None)
    name = there(epoch.training_run).run_name
    call_command("promote", name, "3", reason="ours", override="pink is misread", stdout=StringIO())
    assert Release.objects.get().override_reason == "pink is misread"


def test_a_reviewer_begins_a_blind_test_against_what_is_live(client, epoch) -> None:
    act = reverse("admin:evaluation_epochresult_act", args=(epoch.pk, "compare-live"))
    client.force_login(make_user("viewer"))
    assert client.get(act).status_code == 403
    client.force_login(make_user("reviewer"))
    assert "Nothing is live" in client.get(act).content.decode()
    live = live_rival(epoch)
    assert "Put 12 pictures of" in client.get(act).content.decode()
    answer = client.post(act, follow=True).content.decode()
    assert "has begun: vote under" in answer
    test = BlindTest.objects.get()
    assert (test.checkpoint_a, test.checkpoint_b) == (checkpoint_of(epoch), live.checkpoint)
    assert "compared in a test already" in client.post(act).content.decode()


def test_the_page_takes_the_same_queries_for_few_pictures_and_for_many(client, django_assert_max_num_queries) -> None:
    run = make_run()
    small, large = (make_drawn(run, epoch, prompts=number, seeds=number) for epoch, number in ((1, 2), (2, 6)))
    rival = checkpoint_of(make_drawn(run, 3, prompts=6, seeds=6))
    Release.objects.create(
        checkpoint=there(rival), reason="before", steps=7, guidance=7, scheduler="dpm", size=96, max_token_length=225
    )
    for result in (small, large):
        blind.start(there(checkpoint_of(result)), there(rival), by=None)
        for render in TestRender.objects.filter(checkpoint=checkpoint_of(result)):
            render.result = PromptTestResult.objects.create(epoch_result=result, test_prompt=render.test_prompt)
            render.save()
            PictureReview.objects.create(result=render.result, by=make_user("reviewer"), passed=True)
    client.force_login(make_user("publisher"))
    counts = []
    for result in (small, small, large):  # the first fills caches
        with django_assert_max_num_queries(40) as queries:
            client.get(reverse("readiness:ready", args=(result.pk,)))
        counts.append(len(queries))
    assert counts[1] == counts[2]


def test_an_epoch_without_anything_has_a_page_that_says_so(client) -> None:
    client.force_login(make_user("publisher"))
    bare = EpochResult.objects.create(epoch_number=1)
    page = unescape(client.get(reverse("readiness:ready", args=(bare.pk,))).content.decode())
    assert "nobody has scored it" in page
    assert "names no training run" in page
