"""People's journeys through the console: look at a run, score by keyboard, start a training, correct a record."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.conf import settings
from PIL import Image
from playwright.sync_api import expect

from evaluation import results
from evaluation.models import EpochResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab.pixels.measures import measure
from runs.models import Checkpoint, TrainingJob, TrainingRun
from tests.browser.people import person
from tests.factories import make_caption_version, make_png, make_run
from tests.pixels.drawing import enlarged, punk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def prompt() -> TestPrompt:
    return TestPrompt.objects.create(prompt_name="lady", prompt_text="a lady with pink hair")


@pytest.fixture
def run(prompt) -> TrainingRun:
    """A run with two epochs that wait for scores, a picture each."""
    made = make_run(run_name="looked_at")
    for epoch in (1, 2):
        checkpoint = Checkpoint.objects.create(
            run=made, epoch=epoch, file="x", sha256=str(epoch) * 64, base_model="miniature", source="trained"
        )
        name = f"renders/{epoch}.png"
        TestRender.objects.create(
            checkpoint=checkpoint,
            test_prompt=prompt,
            request={"prompt": prompt.prompt_text},
            digest=str(epoch),
            status=Status.RENDERED,
            finished=name,
        )
        path = Path(settings.STORAGE_DIR) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(epoch))
        EpochResult.objects.create(training_run=made, epoch_number=epoch, num_test_images=1)
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_viewer_sees_crisp_pictures_in_light_and_dark(log_in, run, scheme) -> None:
    page = log_in(person("viewer"), f"/console/runs/trainingrun/{run.pk}/change/", color_scheme=scheme)
    pictures = page.locator(".epoch img.punk")
    expect(pictures).to_have_count(2)
    pictures.last.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('.epoch img')].every(one => one.naturalWidth === 24)")
    shown = "one => [getComputedStyle(one).imageRendering, one.clientWidth, one.clientWidth % 24]"
    assert pictures.first.evaluate(shown) == ["pixelated", 72, 0]
    expect(page.get_by_role("button", name="Save scores")).to_have_count(0)
    expect(page.get_by_role("link", name="Compare")).to_be_visible()


def test_an_operator_starts_a_training_after_confirming_it(log_in, aside) -> None:
    version = make_caption_version("fresh")
    made = make_run(run_name="to_train", caption_version=version.version_name)
    page = log_in(person("operator"), f"/console/runs/trainingrun/{made.pk}/change/")
    page.get_by_role("link", name="Start training").click()
    expect(page.get_by_text("Train 2 epochs of fresh on miniature")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("is queued: the training starts")).to_be_visible()
    expect(page.locator("section.jobs .badge")).to_have_text("Queued")
    expect(page.get_by_role("link", name="Cancel training")).to_be_visible()
    assert aside(lambda: TrainingJob.objects.get().status) == "queued"


def test_saving_an_untouched_record_changes_nothing_in_a_real_browser(log_in, aside) -> None:
    made = make_run(
        key_findings="\n two\n\nlines \n",
        comparison_notes="",
        output_dir="a\nb",
        issues_found=["", "a, b", 'quoted "c"'],
        strengths=[],
        all_parameters={"b": [1, None], "ü": "\n"},
        learning_rate=0.1 + 0.2,
    )
    before = TrainingRun.objects.values().get(pk=made.pk)
    page = log_in(person("operator"), f"/console/runs/trainingrun/{made.pk}/change/")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert aside(lambda: TrainingRun.objects.values().get(pk=made.pk)) == before


def test_a_measured_epoch_shows_its_parts_over_the_picture_and_fits_a_phone(log_in, run) -> None:
    cells = punk(background=(250, 161, 159))
    prompt = "brown hair, red hat, solid green background (#00ff00)"
    found = measure(enlarged(cells, 192), prompt)
    render = TestRender.objects.get(checkpoint__epoch=2)
    render.request = {"prompt": prompt, "seed": 42}
    render.save()
    Image.fromarray(cells).save(Path(settings.STORAGE_DIR) / render.finished)
    results.write_measures(render, {**found.to_json(), "parts": found.labels()})
    row = results.summarise(render.checkpoint)
    assert row is not None
    page = log_in(person("reviewer"), f"/console/evaluation/epochresult/{row.pk}/change/")
    overlay = page.get_by_role("img", name="its parts and defects")
    expect(overlay).to_be_visible()
    picture = page.locator(".cells img")
    page.wait_for_function("document.querySelector('.cells img').naturalWidth === 24")
    assert overlay.bounding_box() == picture.bounding_box()
    for part in ("background", "hair", "skin", "eyes", "lips", "clothes"):
        expect(overlay.locator(f"path.part-{part}")).to_be_visible()
    overlay.hover()
    expect(overlay.locator("path").first).to_have_css("opacity", "0.25")
    summary = page.locator(".picture-measures summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(overlay).to_be_hidden()
    page.keyboard.press("Enter")
    expect(overlay).to_be_visible()
    expect(page.get_by_role("row", name="background green #00ff00 salmon #faa19f")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    for address in (page.url, f"/console/runs/trainingrun/{run.pk}/change/", "/console/measures/"):
        page.goto(urljoin(page.url, address))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
