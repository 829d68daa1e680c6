from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from deployment.models import Release
from evaluation import drafts, marks, scoring
from evaluation.models import (
    EpochResult,
    PictureReview,
    PromptTestResult,
    ScoreDraft,
    ScoreEntry,
    TestPrompt,
    TestRender,
)
from evaluation.renderjob import Status
from punklab.pixels.measures import measure
from runs.models import Checkpoint, TrainingRun
from tests.factories import make_png, make_run, make_user
from tests.matrix_rows import drawn_base
from tests.pixels.drawing import enlarged, punk

pytestmark = pytest.mark.django_db


def make_epoch(run: TrainingRun, epoch: int, *, pictures: int = 2) -> EpochResult:
    """An epoch with drawn and measured pictures of the suite's first prompts, seed 42."""
    checkpoint = Checkpoint.objects.create(
        run=run,
        epoch=epoch,
        file=f"{epoch}.safetensors",
        sha256=str(run.pk * 100 + epoch).rjust(64, "0"),
        base_model="miniature",
        source="trained",
    )
    result = EpochResult.objects.create(training_run=run, epoch_number=epoch, num_test_images=pictures)
    folder = Path(settings.STORAGE_DIR) / "renders"
    folder.mkdir(exist_ok=True)
    for prompt in TestPrompt.objects.order_by("pk")[:pictures]:
        row = PromptTestResult.objects.create(epoch_result=result, test_prompt=prompt)
        file = folder / f"{row.pk}.png"
        file.write_bytes(make_png(row.pk))
        TestRender.objects.create(
            checkpoint=checkpoint,
            test_prompt=prompt,
            result=row,
            request={"prompt": prompt.prompt_text, "seed": 42},
            digest=f"{run.pk}-{epoch}-{prompt.pk}",
            status=Status.RENDERED,
            finished=f"renders/{row.pk}.png",
            measures=MEASURES,
        )
    return result


MEASURES = measure(
    enlarged(punk(), 192), "pixel art, 24x24, portrait of bespoke punk lady, green background (#00ff00)"
).to_json()


def suggest(epoch: EpochResult, *given: float) -> None:
    named = dict(zip(EpochResult.SCORES, given, strict=True))
    ScoreEntry.objects.create(epoch_result=epoch, source="machine", reasons=["by rule"], **named)


@pytest.fixture
def run(db: None) -> TrainingRun:
    return make_run(run_name="looked_at")


@pytest.fixture
def reviewer(client: Any):
    person = make_user("reviewer", username="anna")
    client.force_login(person)
    return person


def release(epoch: EpochResult) -> None:
    Release.objects.create(
        checkpoint=Checkpoint.objects.get(run=epoch.training_run, epoch=epoch.epoch_number),
        reason="good",
        steps=20,
        guidance=7.0,
        scheduler="dpm",
        size=96,
        max_token_length=225,
    )


def desk(epoch: EpochResult) -> str:
    return reverse("evaluation:review_epoch", args=(epoch.pk,))


def facts(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.context["facts"]
    return found


def test_each_picture_stands_beside_the_same_of_the_epoch_before_and_of_what_is_live(client, run, reviewer):
    other = make_epoch(make_run(run_name="live_one"), 7)
    first, second = make_epoch(run, 1, pictures=1), make_epoch(run, 2)
    release(other)
    page = client.get(desk(second))
    shown = facts(page)["pictures"]

    def url(epoch: EpochResult, place: int) -> str:
        render = TestRender.objects.filter(result__epoch_result=epoch).order_by("test_prompt")[place]
        return reverse("evaluation:picture", args=("render", render.pk, 0))

    assert [one["url"] for one in shown] == [url(second, 0), url(second, 1)]
    assert [one["previous"] for one in shown] == [url(first, 0), None]
    assert [one["baseline"] for one in shown] == [url(other, 0), url(other, 1)]
    assert (facts(page)["previous"], facts(page)["baseline"]) == ("epoch 1", "live: live_one epoch 7")


def test_a_desk_takes_the_same_queries_for_2_and_for_6_pictures(client, run, reviewer, django_assert_max_num_queries):
    make_epoch(run, 1, pictures=6)
    few, many = make_epoch(run, 2), make_epoch(run, 3, pictures=6)
    make_epoch(run, 4)
    client.get(desk(few))
    with django_assert_max_num_queries(40) as two:
        client.get(desk(few))
    with django_assert_max_num_queries(len(two)) as six:
        client.get(desk(many))
    assert len(six) == len(two) <= 25


def test_accepting_the_suggestion_is_recorded_as_such(client, run, reviewer):
    epoch = make_epoch(run, 1)
    suggest(epoch, 6.5, 7.6, 8.0)
    assert facts(client.get(desk(epoch)))["suggested"] == {"visual": 6, "style": 8, "prompt": 8}
    client.post(desk(epoch), {"visual": 6, "style": 8, "prompt": 8, "accepted": "visual,style,prompt"})
    entry = epoch.score_entries.exclude(source="machine").get()
    assert (entry.source, entry.by) == ("accepted", reviewer)


def test_tags_and_words_become_issues_and_none_seen_says_that_there_are_none(client, run, reviewer):
    epoch = make_epoch(run, 1)
    given = {"visual": 8, "style": 8, "prompt": 8}
    client.post(
        desk(epoch), given | {"issue_tags": ["random_pixels"], "issues": "odd ears", "strength_tags": "clean_eyes"}
    )
    epoch.refresh_from_db()
    assert (epoch.issues_detail, epoch.strengths_detail) == (["random_pixels", "odd ears"], ["clean_eyes"])
    assert epoch.has_random_pixels
    initial = client.get(desk(epoch)).context["form"].initial
    assert (initial["visual"], initial["issue_tags"], initial["issues"]) == (
        8,
        ["random_pixels", "odd ears"],
        "odd ears",
    )
    client.post(desk(epoch), given | {"no_issues": "on"})
    epoch.refresh_from_db()
    assert (epoch.issues_detail, epoch.has_random_pixels) == ([], False)
    page = client.post(desk(epoch), given | {"no_issues": "on", "issue_tags": ["photorealistic"]})
    assert "cannot both hold" in page.content.decode()
    page = client.post(desk(epoch), given | {"issue_tags": ["made_up"]})
    assert page.status_code == 200
    epoch.refresh_from_db()
    assert epoch.issues_detail == []


def test_a_draft_is_kept_found_again_and_gone_with_the_scores(client, run, reviewer):
    epoch = make_epoch(run, 1)
    address = reverse("evaluation:draft", args=(epoch.pk,))
    kept = client.post(address, {"visual": "7", "issue_tags": ["photorealistic"], "observations": "half", "seen": ""})
    assert kept.status_code == 200
    page = client.get(desk(epoch))
    assert page.context["form"].initial == {"visual": "7", "issue_tags": ["photorealistic"], "observations": "half"}
    assert page.context["draft_version"] == kept.json()["version"]
    assert "is here again" in page.content.decode()
    assert EpochResult.objects.get().visual_quality_score is None
    client.post(desk(epoch), {"visual": 7, "style": 7, "prompt": 7})
    assert not ScoreDraft.objects.exists()


def test_a_draft_of_another_window_is_not_written_over(client, run, reviewer):
    epoch = make_epoch(run, 1)
    address = reverse("evaluation:draft", args=(epoch.pk,))
    first = client.post(address, {"visual": "7", "seen": ""}).json()["version"]
    stale = client.post(address, {"visual": "3", "seen": ""})
    assert stale.status_code == 409
    assert "Another window saved a draft of yours at" in stale.json()["problem"]
    assert ScoreDraft.objects.get().fields == {"visual": ["7"]}
    assert client.post(address, {"visual": "", "seen": first}).json() == {"version": ""}
    assert not ScoreDraft.objects.exists()


def test_a_draft_that_is_too_long_or_of_an_epoch_that_is_gone_is_refused(client, run, reviewer):
    epoch = make_epoch(run, 1, pictures=0)
    address = reverse("evaluation:draft", args=(epoch.pk,))
    long = client.post(address, {"observations": "x" * (drafts.MOST_CHARACTERS + 1), "seen": ""})
    assert (long.status_code, ScoreDraft.objects.count()) == (409, 0)
    epoch.delete()
    gone = client.post(address, {"visual": "7", "seen": ""})
    assert (gone.status_code, gone.json()["problem"][:23]) == (404, "This epoch was deleted ")


def test_a_draft_is_its_writers_alone(client, run, reviewer):
    epoch = make_epoch(run, 1)
    client.post(reverse("evaluation:draft", args=(epoch.pk,)), {"visual": "7", "seen": ""})
    client.force_login(make_user("reviewer"))
    assert client.get(desk(epoch)).context["form"].initial == {}


def test_saved_scores_are_undone_into_a_draft(client, run, reviewer):
    first, second = make_epoch(run, 1), make_epoch(run, 2)
    given = {"visual": 7, "style": 8, "prompt": 9, "no_issues": "on", "observations": "Clean."}
    page = client.post(desk(first), given, follow=True)
    assert page.context["result"] == second
    undo = reverse("evaluation:undo_scores", args=(first.pk,))
    assert f'action="{undo}"' in page.content.decode()
    page = client.post(undo, follow=True)
    assert page.context["result"] == first
    initial = page.context["form"].initial
    assert (initial["visual"], initial["prompt"], initial["no_issues"]) == ("7", "9", "on")
    first.refresh_from_db()
    assert (first.visual_quality_score, first.observations) == (None, None)
    again = client.post(undo, follow=True)
    assert "there is nothing to take back" in again.content.decode()
    scoring.score(first, 6, 6, 6, by=reviewer)  # from the run's page, with the draft of the first undo still there
    page = client.post(undo, follow=True)
    assert page.context["form"].initial["visual"] == "6"


def test_blind_mode_shows_nothing_that_tells_the_epoch_until_the_scores_are_saved(client, run, reviewer):
    make_epoch(run, 1)
    epoch = make_epoch(run, 2)
    suggest(epoch, 6, 7, 8)
    scoring.score(epoch, 5, 6, 7, "Fine crown", by=make_user("reviewer", username="ben"))
    client.post(reverse("evaluation:review_mode"), {"blind": "on", "at": epoch.pk})
    page = client.get(desk(epoch))
    shown = page.content.decode()
    for telling in (
        "looked_at",
        "epoch 2",
        "epoch 1",
        "Fine crown",
        "ben",
        "suggested 6",
        "data-measures-box",
        "data-checks",
    ):
        assert telling not in shown, telling
    assert facts(page)["suggested"] == {}
    assert all(
        one["render"] is None and one["checks"] == [] and one["previous"] is None for one in facts(page)["pictures"]
    )
    answer = client.post(desk(epoch), {"visual": 7, "style": 7, "prompt": 7, "blind": "on"}, follow=True)
    told = [str(message) for message in answer.context["messages"]]
    assert told == ["looked_at epoch 2: 7, 7, 7, so acceptable. Others gave ben: 5, 6, 7."]
    assert epoch.score_entries.get(by=reviewer).is_blind
    client.post(reverse("evaluation:review_mode"), {"blind": "off"})
    client.post(desk(epoch), {"visual": 7, "style": 7, "prompt": 7, "blind": "on"})
    assert not epoch.score_entries.filter(by=reviewer).first().is_blind, "who saw everything was not blind"
    client.post(reverse("evaluation:review_mode"), {"blind": "on"})
    client.post(desk(epoch), {"visual": 7, "style": 7, "prompt": 7})  # from a window that was open before
    assert not epoch.score_entries.filter(by=reviewer).first().is_blind


def test_a_blind_desk_itself_holds_nothing_that_tells(client, run, reviewer):
    live = make_epoch(make_run(run_name="live_one"), 7)
    make_epoch(run, 1)
    epoch = make_epoch(run, 2)
    scoring.score(epoch, 9, 9, 9, by=make_user("reviewer"))
    scoring.score(epoch, 5, 9, 9, by=make_user("reviewer"))
    scoring.score(epoch, 7, 9, 9, by=reviewer)
    say(client, epoch.prompt_results.earliest("pk"), passed=False)
    stray = {"kind": "stray_cells", "cells": [[0, 0]], "text": "1 stray cell"}
    TestRender.objects.filter(result=epoch.prompt_results.latest("pk")).update(
        measures={**MEASURES, "defects": [stray]}
    )
    TestRender.objects.filter(result=epoch.prompt_results.earliest("pk")).update(measures={**MEASURES, "defects": []})
    release(live)
    seeing = client.get(desk(epoch)).context["desk"]
    assert (len(seeing.others), bool(seeing.disagreement), len(seeing.missed)) == (2, True, 1)
    assert [len(one["defects"]) for one in seeing.to_json(reviewer)["pictures"]] == [0, 1]
    client.post(reverse("evaluation:review_mode"), {"blind": "on", "at": epoch.pk})
    blind = client.get(desk(epoch)).context["desk"]
    assert (blind.others, blind.disagreement, blind.missed, blind.previous) == ([], "", [], None)
    assert [one["defects"] for one in blind.to_json(reviewer)["pictures"]] == [[], []]
    assert (seeing.baseline.label, blind.baseline.label) == ("live: live_one epoch 7", "what is live")


def test_the_epoch_before_is_the_last_one_with_pictures_and_without_a_release_the_base_stands_beside(
    client, run, reviewer
):
    for number in (1, 2, 4):
        make_epoch(run, number)
    make_epoch(run, 3, pictures=0)
    assert facts(client.get(desk(run.epoch_results.get(epoch_number=4))))["previous"] == "epoch 2"
    base = drawn_base(list(TestPrompt.objects.order_by("pk")[:2]))
    found = facts(client.get(desk(run.epoch_results.get(epoch_number=4))))
    assert found["baseline"] == "the base without a LoRA"
    shown = base.test_renders.order_by("test_prompt").values_list("pk", flat=True)
    assert [one["baseline"] for one in found["pictures"]] == [
        reverse("evaluation:picture", args=("render", pk, 0)) for pk in shown
    ]


def test_what_was_taken_back_waits_again_and_what_has_no_pictures_never_does(client, run, reviewer):
    make_epoch(run, 1, pictures=0)
    epoch, other = make_epoch(run, 2), make_epoch(run, 3)
    TestRender.objects.filter(result=other.prompt_results.latest("pk")).update(status=Status.QUEUED)
    assert client.get(reverse("evaluation:review")).url == desk(epoch)
    drawn = TestRender.objects.get(result=other.prompt_results.earliest("pk"))
    assert client.get(desk(epoch)).context["next_pictures"] == [
        reverse("evaluation:picture", args=("render", drawn.pk, 0))
    ], "those of the next epoch that are drawn"
    client.post(desk(epoch), {"visual": 7, "style": 7, "prompt": 7})
    assert client.get(reverse("evaluation:review")).url == desk(other)
    client.post(reverse("evaluation:undo_scores", args=(epoch.pk,)))
    assert client.get(reverse("evaluation:review")).url == desk(epoch)


def test_what_failed_without_a_mark_was_missed_too_but_not_where_the_measures_saw_something(client, run, reviewer):
    epoch = make_epoch(run, 1)
    clean, faulty = epoch.prompt_results.order_by("pk")
    stray = {"kind": "stray_cells", "cells": [[0, 0]], "text": "1 stray cell"}
    TestRender.objects.filter(result=clean).update(measures={**MEASURES, "defects": []})
    TestRender.objects.filter(result=faulty).update(measures={**MEASURES, "defects": [stray]})
    for result in (clean, faulty):
        say(client, result, passed=False)
    assert list(client.get(desk(epoch)).context["desk"].missed) == [
        f"{clean.test_prompt}: failed, where the measures found no defect"
    ]


def test_the_blind_order_is_the_reviewers_own_and_the_same_each_time(client, run, reviewer):
    epochs = [make_epoch(run, number, pictures=1) for number in range(1, 9)]

    def order() -> list[int]:
        found, after = [], ""
        while (answer := client.get(reverse("evaluation:review"), {"after": after})).status_code == 302:
            found.append(int(answer.url.split("/")[-2]))
            after = str(found[-1])
        return found

    assert order() == [epoch.pk for epoch in epochs]
    client.post(reverse("evaluation:review_mode"), {"blind": "on"})
    blind = order()
    assert sorted(blind) == [epoch.pk for epoch in epochs]
    assert blind != [epoch.pk for epoch in epochs]
    assert order() == blind


def test_epochs_that_others_scored_wait_for_who_asks_for_them(client, run, reviewer):
    epoch = make_epoch(run, 1)
    scoring.score(epoch, 8, 8, 8, by=make_user("reviewer"))
    assert "No epoch waits for your scores" in client.get(reverse("evaluation:review")).content.decode()
    answer = client.post(reverse("evaluation:review_mode"), {"others": "on"}, follow=True)
    assert answer.context["result"] == epoch
    client.post(desk(epoch), {"visual": 5, "style": 8, "prompt": 8})
    page = client.get(desk(epoch)).content.decode()
    assert "2 reviewers are 3 points on visual apart" in page
    assert (
        "There is no epoch with pictures that you have not scored"
        in client.get(reverse("evaluation:review")).content.decode()
    )


def test_the_epochs_page_shows_each_reviewer_and_where_they_are_apart(client, run, reviewer):
    epoch = make_epoch(run, 1)
    address = reverse("admin:evaluation_epochresult_change", args=(epoch.pk,))
    scoring.score(epoch, 8, 8, 8, by=reviewer)
    assert "prompt, by anna" in client.get(address).content.decode()
    scoring.score(epoch, 7, 7, 7, by=make_user("reviewer", username="ben"))
    page = client.get(address).content.decode()
    assert "the median of 2 reviewers" in page
    assert "<li>ben: 7, 7, 7</li>" in page
    scoring.score(epoch, 3, 8, 8, by=reviewer)
    assert "4 points on visual apart" in client.get(address).content.decode()


def say(client: Any, result: PromptTestResult, **word: Any) -> Any:
    address = reverse("evaluation:picture_review", args=(result.pk,))
    return client.post(address, json.dumps(word), content_type="application/json")


def test_a_word_on_a_picture_fills_the_labs_row_and_taking_it_back_lets_the_measures_speak(client, run, reviewer):
    result = make_epoch(run, 1, pictures=1).prompt_results.get()
    render = result.render
    said = say(
        client, result, passed=False, score=4, marks={"stray": [[2, 3], [2, 3], [0, 23]], "hat": [[5, 5]], "bow": []}
    )
    assert said.status_code == 200
    result.refresh_from_db()
    assert (result.passed, result.score, result.has_random_artifacts, result.accessories_visible) == (
        False,
        4,
        True,
        False,
    )
    assert result.observations == "marked: 1 cell hat, 2 cells stray pixel"
    assert PictureReview.objects.get().marks == {"hat": [[5, 5]], "stray": [[0, 23], [2, 3]]}
    client.force_login(make_user("reviewer"))
    say(client, result, passed=True, score=7)
    result.refresh_from_db()
    assert (result.passed, result.score) == (False, 4), "a tie fails, and of two scores the lower counts"
    client.force_login(reviewer)
    say(client, result, passed=None, score=None, marks={})
    result.refresh_from_db()
    assert (result.passed, result.score, result.accessories_visible) == (True, 7, None)
    assert "background blue #0066ff, asked green" in result.observations
    assert render.measures == TestRender.objects.get(pk=render.pk).measures


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ({"score": 11}, "score is 11"),
        ({"score": True}, "score is True"),
        ({"passed": "yes"}, "neither pass nor fail"),
        ({"marks": {"nose": [[1, 1]]}}, "'nose' is no kind of defect"),
        ({"marks": {"stray": [[24, 0]]}}, "row and a column from 0 to 23"),
        ({"marks": {"stray": [[1]]}}, "row and a column"),
        ({"marks": [1]}, "go by kind"),
    ],
)
def test_an_impossible_word_on_a_picture_is_refused_and_nothing_is_kept(client, run, reviewer, word, problem):
    result = make_epoch(run, 1, pictures=1).prompt_results.get()
    said = say(client, result, **word)
    assert (said.status_code, problem in said.json()["problem"]) == (400, True)
    assert not PictureReview.objects.exists()


def test_a_word_that_is_no_json_or_on_a_picture_that_is_gone(client, run, reviewer):
    result = make_epoch(run, 1, pictures=1).prompt_results.get()
    address = reverse("evaluation:picture_review", args=(result.pk,))
    assert client.post(address, b"\xff", content_type="application/json").status_code == 400
    assert client.post(address, "[1]", content_type="application/json").status_code == 400
    missing = reverse("evaluation:picture_review", args=(10**6,))
    assert client.post(missing, "{}", content_type="application/json").status_code == 404


def test_what_the_machine_had_missed_is_told(client, run, reviewer):
    epoch = make_epoch(run, 1)
    seen, clean = epoch.prompt_results.order_by("pk")
    render = clean.render
    render.measures = {**MEASURES, "defects": []}
    render.save()
    TestRender.objects.filter(pk=seen.render.pk).update(measures={**MEASURES, "defects": []})
    say(client, seen, passed=False, marks={"eyes": [[12, 9]]})
    say(client, clean, passed=True)
    page = client.get(desk(epoch)).content.decode()
    assert f"{seen.test_prompt}: marked: 1 cell eyes, where the measures found no defect" in page
    assert page.count("where the measures found") == 1


@pytest.mark.parametrize("role", ["", "viewer"])
def test_only_reviewers_leave_anything_on_the_desk(client, run, role):
    result = make_epoch(run, 1, pictures=1).prompt_results.get()
    epoch = result.epoch_result
    client.force_login(make_user(role))
    for name, key in (
        ("draft", epoch.pk),
        ("undo_scores", epoch.pk),
        ("discard_draft", epoch.pk),
        ("picture_review", result.pk),
    ):
        answer = client.post(reverse(f"evaluation:{name}", args=(key,)), {"visual": 5})
        assert answer.status_code == (403 if role else 302), name
    assert not ScoreDraft.objects.exists()
    assert not PictureReview.objects.exists()


def test_the_measures_of_a_picture_come_as_a_piece_of_the_page(client, run, reviewer):
    result = make_epoch(run, 1, pictures=1).prompt_results.get()
    piece = client.get(reverse("evaluation:picture_measures", args=(result.render.pk,))).content.decode()
    assert '<table class="swatches">' in piece
    assert "<html" not in piece


def test_peoples_marks_judge_the_measures(client, run, reviewer):
    rows = list(make_epoch(run, 1, pictures=4).prompt_results.order_by("pk"))
    stray = {"kind": "stray_cells", "cells": [[0, 0]], "text": "1 stray cell"}
    for row, defects in zip(rows, ([stray], [stray], [], []), strict=True):
        TestRender.objects.filter(result=row).update(measures={**MEASURES, "defects": defects, "accessories": []})
    say(client, rows[0], marks={"stray": [[0, 0]]})
    say(client, rows[1], passed=True)
    say(client, rows[2], marks={"stray": [[1, 1]], "hat": [[2, 2]]})
    found = marks.seen()
    assert found.pictures == 3, "nobody looked at the fourth"
    assert (found.kinds[0].people, found.kinds[0].measures, found.kinds[0].both) == (2, 2, 1)
    assert (found.kinds[0].recall, found.kinds[2].recall, found.kinds[2].precision) == (0.5, 0.0, None)
    page = client.get(reverse("evaluation:measures")).content.decode()
    assert "Over 3 measured pictures" in page
