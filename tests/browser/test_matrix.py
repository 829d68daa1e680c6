"""The matrix in a real browser: by keyboard alone, a thousand cells, a comparison that draws, a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from evaluation import full_comparison, suite
from evaluation.models import TestRender
from evaluation.renderjob import Status
from evaluation.suite_models import SuitePrompt
from punklab import roles
from tests.factories import make_checkpoint, make_png, make_run, make_user
from tests.matrix_rows import at_weight, drawn_base, drawn_run, suite_prompts

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# From the press of a key to the frame that shows the focus elsewhere, in milliseconds; a loaded machine needs some.
SLOWEST = 250


@pytest.fixture(autouse=True)
def lab_prompts(transactional_db: None) -> None:
    """The suite as the lab had it: its six prompts, the others retired."""
    suite.prompts()
    SuitePrompt.objects.filter(position__gt=6).update(retired_at=timezone.now())


@pytest.fixture
def opened(chromium, live_server, client):
    """Opens a page for somebody of a role; fails at the end when the browser complained or asked another host."""
    complaints = []
    roles.sync()

    def page_for(role: str, path: str, **options) -> Page:
        client.force_login(make_user(role))
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: complaints.append(sent.url) if live_server.url not in sent.url else None)
        page.goto(f"{live_server.url}{path}")
        return page

    yield page_for
    assert complaints == []


def compare(run) -> str:
    return reverse("evaluation:compare", args=(run.pk,))


def focused(page: Page) -> list[int]:
    """Row and column of the cell that has the focus, or gets it when a dialogue has closed."""
    page.wait_for_function("document.activeElement.closest('td')")
    return page.evaluate(
        "(() => { const td = document.activeElement.closest('td'); return [td.parentElement.rowIndex, td.cellIndex]; })()"
    )


def view(page: Page) -> list[str]:
    """Address and place of the large picture."""
    return page.locator(".viewer-stage img").evaluate("one => [new URL(one.src).pathname, one.style.transform]")


def test_a_reviewer_looks_through_epochs_and_weights_by_keyboard_alone(opened) -> None:
    drawn_base()
    run = drawn_run(3, run_name="looked_through")
    prompts = suite_prompts()
    light = [at_weight(run.checkpoints.get(epoch=2), prompt, 0.6) for prompt in prompts]
    pks = {(one.checkpoint.epoch, one.priority): one.pk for one in TestRender.objects.select_related("checkpoint")}
    page = opened("reviewer", compare(run))
    keyboard = page.keyboard
    for _ in range(60):
        keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('cell')"):
            break
    assert focused(page) == [2, 1], "the tabulator comes to the first cell"
    stops = page.locator(".cell").evaluate_all("all => all.filter(one => one.tabIndex === 0).length")
    assert stops == 1, "and the next press leaves the matrix"
    for keys, place in (
        (["ArrowDown", "ArrowDown", "ArrowRight"], [5, 2]),
        (["End"], [5, 6]),
        (["ArrowRight"], [5, 6]),
        (["Home"], [5, 1]),
        (["Control+End"], [6, 6]),
        (["PageUp"], [2, 6]),
        (["Control+Home", "ArrowDown", "ArrowDown"], [5, 1]),
    ):
        for key in keys:
            keyboard.press(key)
        assert focused(page) == place, keys
    keyboard.press("Enter")
    title = page.locator("#viewer-title")
    expect(title).to_have_text("epoch 2 · lady_pink_hair_crown · seed 42 · 24×24 · ✗ hair")
    for key in ("+", "+", "Shift+ArrowRight"):
        keyboard.press(key)
    address, placed = view(page)
    assert (address, placed) == (f"/console/pictures/render/{pks[2, 0]}/0/", "translate(-48px, 0px) scale(2.25)")
    keyboard.press("ArrowDown")
    assert view(page) == [f"/console/pictures/render/{pks[3, 0]}/0/", placed], "place and size are kept"
    keyboard.press("ArrowRight")
    assert view(page) == [f"/console/pictures/render/{pks[3, 1]}/0/", placed]
    keyboard.press("f")
    assert view(page) == [f"/console/pictures/raw/{pks[3, 1]}/0/", placed]
    expect(title).to_contain_text("as rendered")
    keyboard.press("f")
    keyboard.press("ArrowUp")
    keyboard.press("W")
    assert view(page) == [f"/console/pictures/weight/{light[1].pk}/0/", placed]
    expect(title).to_have_text("epoch 2 · LoRA weight 0.6 · lad_purple_hair_cap · seed 42 · 24×24")
    keyboard.press("W")
    assert view(page)[0] == f"/console/pictures/render/{pks[None, 1]}/0/", "at 0 it is the base's own"
    keyboard.press("w")
    keyboard.press("ArrowDown")
    expect(title).not_to_contain_text("LoRA weight")
    assert view(page) == [f"/console/pictures/render/{pks[3, 1]}/0/", placed], "epoch 3 was drawn as trained only"
    keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Keys")).to_be_hidden()
    keyboard.press("Escape")
    expect(page.locator("dialog.viewer")).to_be_hidden()
    assert focused(page) == [6, 2], "the focus is where one looked last"
    expect(page.get_by_role("row", name="epoch 2 at 0.6")).to_be_visible()


def test_a_thousand_cells_stay_fluent(opened) -> None:
    run = drawn_run(167)
    page = opened("viewer", compare(run))
    drawn = page.locator("a.cell")
    assert drawn.count() == 1002
    drawn.first.focus()
    page.evaluate("""() => {
        window.waits = [];
        document.addEventListener("keydown", () => {
            const began = performance.now();
            requestAnimationFrame(() => requestAnimationFrame(() => window.waits.push(performance.now() - began)));
        }, true);
    }""")
    for key in [*["ArrowDown"] * 15, "Control+End", *["ArrowUp"] * 10, "PageUp", "Home"]:
        page.keyboard.press(key)
    page.wait_for_function("window.waits.length >= 28")
    waits = sorted(page.evaluate("window.waits"))
    assert waits[14] < SLOWEST, waits
    assert focused(page)[0] == 152
    asked = page.evaluate("performance.getEntriesByType('resource').filter(one => one.initiatorType === 'img').length")
    assert 0 < asked < 500, "pictures that are far from sight are not asked for"


def test_a_comparison_that_draws_moves_by_itself_on_a_phone(opened, aside) -> None:
    (Path(settings.STORAGE_DIR) / "one.png").write_bytes(make_png())
    drawn = {"status": Status.RENDERED, "seconds": 1, "finished": "one.png", "raw": "one.png"}
    run = make_run(run_name="being_drawn")
    make_checkpoint(run=run, epoch=1)
    full_comparison.start(run, None)
    queued = TestRender.objects.filter(status=Status.QUEUED)
    first = list(queued.values_list("pk", flat=True)[:6])
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = opened("operator", compare(run), **phone)
    expect(page.get_by_text("0 of 12 pictures drawn")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="Cancel").focus()
    aside(lambda: TestRender.objects.filter(pk__in=first).update(**drawn))
    expect(page.get_by_role("status")).to_contain_text("6 of 12 pictures drawn", timeout=15_000)
    expect(page.get_by_role("link", name="Cancel")).to_be_focused()
    aside(lambda: queued.update(**drawn))
    expect(page.get_by_role("link", name="The sheet (PNG)")).to_be_visible(timeout=15_000)
    page.get_by_role("link", name="Show the new pictures").tap()
    page.locator("a.cell").first.tap()
    expect(page.get_by_role("heading", name="miniature without a LoRA")).to_be_visible()
    page.get_by_role("button", name="close").tap()
    expect(page.locator("dialog.viewer")).to_be_hidden()
