"""A run's curves: drawn, toggled by keyboard, redrawn in the dark; its report opened as a file."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from evaluation.models import EpochResult
from evaluation.report import report_of
from tests.browser.people import person
from tests.evaluation.test_trend import make_scored, metrics_with
from tests.factories import make_drawn, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# How many pixels of the first chart have the colour of the page's text: axes, and the mean's thick curve.
N_DRAWN = """() => {
  const canvas = document.querySelector("canvas"), data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const wanted = getComputedStyle(document.documentElement).getPropertyValue("--chart-4").trim().match(/[0-9a-f]{2}/g).map((two) => parseInt(two, 16));
  let n = 0;
  for (let at = 0; at < data.length; at += 4) n += wanted.every((one, channel) => Math.abs(one - data[at + channel]) < 9) && data[at + 3] > 200;
  return n;
}"""


def test_curves_are_toggled_by_keyboard_and_redrawn_when_the_theme_changes(log_in):
    run = make_run(run_name="curved")
    for epoch, score in enumerate((5, 9, 4), start=1):
        noise = {"hair": {"rms": 0.2, "n": 4}} if epoch == 1 else None
        make_scored(run, epoch, score, quantitative_metrics=metrics_with(noise, hair=score / 10))
    page = log_in(person("viewer"), f"/console/convergence/{run.pk}/")
    expect(page.locator("canvas")).to_have_count(2)
    with_mean = page.evaluate(N_DRAWN)
    mean = page.locator(".u-legend").first.get_by_role("button", name="mean", exact=True)
    mean.focus()
    page.keyboard.press("Enter")
    expect(mean).to_have_attribute("aria-pressed", "false")
    without_mean = page.evaluate(N_DRAWN)
    assert without_mean < with_mean - 300
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    expect(mean).to_have_attribute("aria-pressed", "false")
    mean.click()
    expect(mean).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(N_DRAWN) > 300
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("canvas").first).to_have_js_property(
        "clientWidth", page.locator("[data-chart]").first.evaluate("one => one.clientWidth")
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_text("Scores by epoch as a table").click()
    expect(page.get_by_role("cell", name="9.0").first).to_be_visible()


def test_a_report_opens_from_a_file_without_a_request(chromium, tmp_path):
    run = make_run(run_name="kept")
    for epoch, score in enumerate((5, 9, 4), start=1):
        make_drawn(run, epoch, prompts=2, seeds=1)
        EpochResult.objects.filter(training_run=run, epoch_number=epoch).update(
            **dict.fromkeys(EpochResult.SCORES, score)
        )
    file = tmp_path / "kept.html"
    file.write_text(report_of(run))
    asked, complaints = [], []
    page = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.on("request", lambda sent: asked.append(sent.url) if not sent.url.startswith("data:") else None)
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"file://{file}")
    assert page.evaluate("[...document.images].map((one) => one.naturalWidth)") == [24] * 6
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 18)"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert asked == [f"file://{file}"]
    assert complaints == []
