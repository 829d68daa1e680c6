"""A reviewer compares two epochs blind, by keyboard alone and by thumb."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from evaluation import blind, blind_order
from evaluation.blind_models import Vote
from evaluation.results import checkpoint_of
from punklab import roles
from tests.browser.conftest import PASSWORD
from tests.factories import make_drawn, make_run, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def begun():
    """A test of three pairs, one of which comes twice, and somebody who may vote in it."""
    roles.sync()
    run = make_run(run_name="secretive")
    old, new = (checkpoint_of(make_drawn(run, epoch, prompts=3, seeds=1)) for epoch in (1, 2))
    assert old is not None
    assert new is not None
    return blind.start(new, old, by=None), make_user("reviewer", password=PASSWORD)


def test_a_reviewer_votes_by_keyboard_alone_and_never_learns_whose_is_whose(log_in, begun, aside) -> None:
    test, reviewer = begun
    shown = [blind_order.pair_at(test, place, reviewer).prompt for place in range(1, 5)]
    asked: list[str] = []
    page = log_in(reviewer.username, f"/console/pairs/{test.pk}/")
    expect(page.get_by_text("0 of 4 voted")).to_be_visible()
    page.on("request", lambda sent: asked.append(sent.url))
    page.reload()
    for n, (key, prompt) in enumerate(
        zip(("ArrowLeft", "2", "t", "u", "ArrowDown", "1"), [*shown[:3], "", *shown[2:]], strict=True)
    ):
        expect(page.locator("[data-prompt]")).to_have_text(prompt or shown[3])
        pictures = page.locator(".pairs-two img")
        expect(pictures).to_have_count(2)
        page.wait_for_function("[...document.querySelectorAll('.pairs-two img')].every(one => one.naturalWidth === 24)")
        assert [pictures.nth(side).evaluate("one => one.clientWidth % 24") for side in (0, 1)] == [0, 0]
        source = page.content()
        assert "secretive" not in source
        assert "epoch " not in source[source.index('id="content-main"') :]
        page.keyboard.press(key)
        n_voted = (1, 2, 3, 2, 3, 4)[n]
        expect(page.get_by_role("status")).to_have_text(f"{n_voted} of 4 voted")
    expect(page.get_by_role("heading", name="That was the last pair")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".proof").first).to_contain_text("secretive epoch 2")
    pictures_asked = [url for url in asked if url.endswith(".png")]
    assert len(pictures_asked) >= 8
    assert all(re.search(rf"/console/pairs/{test.pk}/[1-4]/(left|right)\.png$", url) for url in pictures_asked)
    votes = aside(
        lambda: [(blind_order.said_of(vote), vote.withdrawn_at is None) for vote in Vote.objects.order_by("pk")]
    )
    assert votes == [("left", True), ("right", True), ("tie", False), ("tie", True), ("left", True)]


def test_a_phone_votes_by_thumb(log_in, begun, aside) -> None:
    test, reviewer = begun
    page = log_in(reviewer.username, f"/console/pairs/{test.pk}/", is_mobile=True, has_touch=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="The right picture is better").tap()
    expect(page.get_by_role("status")).to_have_text("1 of 4 voted")
    page.get_by_role("button", name="No difference").tap()
    expect(page.get_by_role("status")).to_have_text("2 of 4 voted")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [blind_order.said_of(vote) for vote in aside(lambda: list(Vote.objects.order_by("pk")))] == ["right", "tie"]
