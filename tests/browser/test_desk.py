"""An epoch scored at the desk: with keys only, with a thumb, in a tab that is closed half-way."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from evaluation.models import EpochResult, PictureReview, ScoreDraft, ScoreEntry, TestPrompt
from tests.browser.people import person
from tests.evaluation.test_desk import make_epoch, suggest
from tests.factories import make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def epochs(db):
    for name in ("lady", "lad"):
        TestPrompt.objects.create(prompt_name=name, prompt_text=f"a {name} with pink hair")
    run = make_run(run_name="looked_at")
    return [make_epoch(run, number) for number in (1, 2)]


def ready(page) -> None:
    """Wait for the desk's script: it puts the focus on the first score that is missing."""
    expect(page.locator("[data-score] input:focus")).to_have_count(1)


def scores(aside) -> list[tuple]:
    return aside(lambda: list(EpochResult.objects.order_by("epoch_number").values_list(*EpochResult.SCORES)))


def test_two_epochs_are_scored_with_four_keys_each_and_the_last_is_taken_back(log_in, epochs, aside):
    page = log_in(person("reviewer"), "/console/review/")
    expect(page.get_by_role("group", name="Visual quality").get_by_label("0", exact=True)).to_be_focused()
    for key in "87xn":
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Score looked_at epoch 2")).to_be_visible()
    expect(page.get_by_text("looked_at epoch 1: 8, 7, 10, so best.")).to_be_visible()
    ready(page)
    for key in "555n":
        page.keyboard.press(key)
    expect(page.get_by_text("No epoch waits for your scores.")).to_be_visible()
    assert scores(aside) == [(8, 7, 10), (5, 5, 5)]
    page.get_by_role("button", name="Undo the scores of looked_at epoch 2").press("Enter")
    expect(page.get_by_text("Your scores are taken back; they wait here as a draft.")).to_be_visible()
    expect(page.get_by_role("group", name="Style match").get_by_label("5")).to_be_checked()
    assert scores(aside)[1] == (None, None, None)


def test_enter_accepts_suggestions_and_a_step_is_undone(log_in, epochs, aside):
    suggest(epochs[0], 6.2, 7.7, 8.0)
    page = log_in(person("reviewer"), "/console/review/")
    ready(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Visual quality").get_by_label("6")).to_be_checked()
    expect(page.get_by_text("accepted, not judged").first).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("group", name="Visual quality").get_by_label("6")).not_to_be_checked()
    page.keyboard.press("9")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Score looked_at epoch 2")).to_be_visible()
    entry = aside(lambda: ScoreEntry.objects.exclude(source="machine").get())
    assert (entry.visual_quality_score, entry.style_match_score, entry.accepted) == (9, 8, list(EpochResult.SCORES[1:]))


def test_pictures_are_judged_flipped_and_marked_by_keys(log_in, epochs, aside):
    page = log_in(person("reviewer"), f"/console/review/{epochs[1].pk}/")
    ready(page)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Fail f")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("z")
    for key in ("ArrowUp", "ArrowLeft", " ", "2", "ArrowLeft", " "):
        page.keyboard.press(key)
    expect(page.get_by_text("1 stray, 1 eyes")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    with page.expect_response(lambda answer: '"score":4' in (answer.request.post_data or "")):
        page.keyboard.press("4")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.locator("[data-status]")).to_have_text("There is no baseline of this picture.")
    found = aside(lambda: PictureReview.objects.get())
    assert (found.passed, found.score, found.marks) == (False, 4, {"stray": [[11, 11]], "eyes": [[11, 10]]})


def test_a_closed_tab_loses_nothing(log_in, epochs, aside):
    who = person("reviewer")
    page = log_in(who, "/console/review/")
    ready(page)
    page.keyboard.press("7")
    page.keyboard.press("o")
    page.keyboard.type("Two-toned hair")
    expect(page.locator("[data-status]")).to_have_text("Draft kept.")
    page.close()
    assert aside(lambda: ScoreDraft.objects.get().fields["observations"]) == ["Two-toned hair"]
    page = log_in(who, "/console/review/")
    expect(page.get_by_label("Observations")).to_have_value("Two-toned hair")
    expect(page.get_by_role("group", name="Visual quality").get_by_label("7")).to_be_checked()
    expect(page.get_by_role("group", name="Style match").get_by_label("0", exact=True)).to_be_focused()


def test_an_epoch_is_scored_by_thumb(log_in, epochs, aside):
    page = log_in(person("reviewer"), "/console/review/", has_touch=True)
    page.set_viewport_size({"width": 390, "height": 844})
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("[data-canvas]").tap(position={"x": 5, "y": 5})
    expect(page.get_by_text("1 stray", exact=True)).to_be_visible()
    page.locator("[data-pass=true]").tap()
    for name in ("Visual quality", "Style match", "Prompt adherence"):
        page.get_by_role("group", name=name).locator("label", has_text="10").tap()
    page.get_by_role("button", name="Save and next").tap()
    expect(page.get_by_role("heading", name="Score looked_at epoch 2")).to_be_visible()
    assert scores(aside)[0] == (10, 10, 10)
    found = aside(lambda: PictureReview.objects.get())
    assert (found.passed, found.marks) == (True, {"stray": [[0, 0]]})
