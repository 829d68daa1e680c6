"""What the console's pages show of measures: a picture's parts and colours, an epoch's means, a run's traits."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from evaluation import results
from evaluation.models import EpochResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab.pixels.measures import LETTERS, measure
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import AdoptedPicture, Checkpoint, TrainingRun
from tests.console_rows import count_queries
from tests.factories import make_png, make_run, make_user
from tests.pixels.drawing import enlarged, punk

pytestmark = pytest.mark.django_db

PROMPT = "portrait of bespoke punk lady, brown hair (#78461e), red hat, brown eyes, solid green background (#00ff00)"
SALMON, GREEN = (250, 161, 159), (0, 255, 0)
OLD = {"background": {"matches": True}, "hair": {"matches": False}, "is_pixel_art": False}
Metrics = dict[str, Any]


def measured(cells: np.ndarray, prompt: str = PROMPT) -> Metrics:
    """A picture's measures as `punklab.pixels.many` gives them."""
    found = measure(enlarged(cells, 192), prompt)
    return {**found.to_json(), "parts": found.labels()}


@pytest.fixture(scope="module")
def wrong() -> Metrics:
    """Of a picture with another background than asked and a stray cell."""
    cells = punk(SALMON)
    cells[2, 20] = (120, 70, 30)
    return measured(cells)


@pytest.fixture(scope="module")
def right() -> Metrics:
    """Of a picture with everything as asked but the hat."""
    return measured(punk(GREEN))


@pytest.fixture
def run() -> TrainingRun:
    return make_run(run_name="looked_at")


def drawn(run: TrainingRun, epoch: int, *pictures: Metrics | None, prompt: str = PROMPT) -> EpochResult:
    """An epoch with drawn pictures, each of a seed of its own, measured and summarised as the worker does it."""
    checkpoint, _ = Checkpoint.objects.get_or_create(
        run=run, epoch=epoch, file="x", sha256=f"{epoch:064x}", base_model=run.base_model, source="trained"
    )
    for found in pictures:
        draw(checkpoint, found, prompt)
    return results.summarise(checkpoint) or EpochResult.objects.get_or_create(training_run=run, epoch_number=epoch)[0]


def draw(checkpoint: Checkpoint, found: Metrics | None, prompt: str = PROMPT) -> None:
    seed = checkpoint.test_renders.count()
    render = TestRender.objects.create(
        checkpoint=checkpoint,
        test_prompt=TestPrompt.objects.order_by("pk")[0],
        request={"prompt": prompt, "seed": seed},
        digest=str(seed),
        status=Status.RENDERED,
        finished=f"{checkpoint.pk}-{seed}.png",
    )
    if found is not None:
        results.write_measures(render, found)


def epoch_page(row: EpochResult) -> str:
    return reverse("admin:evaluation_epochresult_change", args=(row.pk,))


def run_page(run: TrainingRun) -> str:
    return reverse("admin:runs_trainingrun_change", args=(run.pk,))


def shown(client: Any, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return unescape(page.content.decode())


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def table(page: str, name: str) -> dict[str, list[str]]:
    """The cells of each row of the table of a class by the row's title, without tags."""
    html = page.split(f'<table class="{name}">')[1].split("</table>")[0]
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', html, re.DOTALL)
    return {title: [text_of(cell) for cell in re.findall(r"<td>(.*?)</td>", rest, re.DOTALL)] for title, rest in rows}


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_an_epochs_page_outlines_the_parts_and_defects_of_its_picture(client, run, wrong, role):
    row = drawn(run, 1, wrong)
    client.force_login(make_user(role))
    page = shown(client, epoch_page(row))
    render = TestRender.objects.get()
    outlines = dict(re.findall(r'<path class="part-(\w+)" d="(.*?)">', page))
    assert set(outlines) == {"background", "hair", "skin", "eyes", "lips", "clothes"}
    assert set(re.findall(r"<title>(\w+)</title>", page)) >= set(outlines)
    assert set(re.findall(r'class="legend part-(\w+)"', page)) == {*outlines, "defect"}
    parts = np.array([list(line) for line in wrong["parts"].split("\n")])
    for part, path in outlines.items():
        mask = np.pad(parts == LETTERS[part], 1).astype(int)
        border = sum(np.abs(np.diff(mask, axis=axis)).sum() for axis in (0, 1))
        assert sum(map(int, re.findall(r"[hv](\d+)", path))) == border, part
    assert '<rect class="defect" x="20" y="2" width="1" height="1">' in page
    assert page.count('class="defect"') == 1
    assert "1 stray cell in a colour of another part" in page
    src = reverse("evaluation:picture", args=("render", render.pk, 0))
    assert re.search(rf'<div class="cells"[^>]*>\s*<img class="punk" src="{src}" width="192" height="192"', page)


def test_swatches_put_the_colour_asked_beside_the_one_seen(client, run, wrong):
    row = drawn(run, 1, wrong)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    swatches = table(page, "swatches")
    assert list(swatches) == ["hair", "eyes", "lips", "skin", "background", "red hat"]
    assert swatches["background"][:2] == ["green #00ff00", "salmon #faa19f"]
    assert float(swatches["background"][2]) == pytest.approx(wrong["background"]["delta_e"], abs=0.06)
    assert swatches["background"][3].startswith("✗ no")
    assert swatches["hair"][:3] == ["brown #78461e", "brown #78461e", "0.0"]
    assert swatches["hair"][3].startswith("✓ yes")
    assert swatches["lips"] == ["", "rose #cc6666", "", "not asked for"]
    assert swatches["red hat"][0] == "red"
    for colour in ("#00ff00", "#faa19f", "#cc6666"):
        assert f'fill="{colour}"' in page


def test_findings_say_in_sentences_what_was_asked_and_what_is_there(client, run, wrong):
    row = drawn(run, 1, wrong)
    client.force_login(make_user("reviewer"))
    page = shown(client, epoch_page(row))
    findings = [text_of(each) for each in re.findall(r"<li>(.*?)</li>", page.split('<ul class="findings">')[1])]
    assert "background salmon #faa19f, asked green #00ff00" in findings
    assert "hair brown #78461e, as asked (brown #78461e)" in findings
    assert "a raster of 24x24 cells" in findings
    assert any(each.startswith("copies not looked for") for each in findings)


def test_what_a_prompt_says_unreadably_is_noted_and_is_no_html(client, run):
    prompt = "hair (#12345), <b onclick=x>red</b> hat"
    row = drawn(run, 1, measured(punk(), prompt), prompt=prompt)
    client.force_login(make_user("viewer"))
    page = client.get(epoch_page(row)).content.decode()
    assert "#12345 is no colour code; write # and six digits" in page
    assert "<b onclick" not in page
    assert "&lt;b onclick=x&gt;red&lt;/b&gt; hat" in page


def test_each_measured_picture_has_its_measures_and_only_the_first_ones_are_open(client, run, right, wrong):
    row = drawn(run, 1, wrong, None, right)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    assert page.count('<details class="picture-measures" open>') == 1
    assert page.count('<details class="picture-measures"') == page.count('<div class="measured">') == 2
    first, second = page.split('<details class="picture-measures"')[1:]
    assert "salmon #faa19f, asked" in first
    assert "green #00ff00, as asked" in second


def test_measures_of_an_older_shape_and_without_the_parts_do_not_break_the_page(client, run, wrong):
    row = drawn(run, 1, {key: value for key, value in wrong.items() if key != "parts"}, None)
    TestRender.objects.filter(measures=None).update(measures=OLD)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    assert page.count('<div class="measured">') == 1
    assert 'class="part-' not in page
    assert "salmon #faa19f" in page


def test_an_adopted_picture_is_measured_on_the_epochs_page_too(client, run, storage, wrong):
    (storage / "past.png").write_bytes(make_png())
    AdoptedPicture.objects.create(
        run=run, epoch=4, file="past.png", original_name="old.png", sha256="0" * 64, width=24, height=24, measures=wrong
    )
    row = EpochResult.objects.create(training_run=run, epoch_number=4, num_test_images=0)
    results.summarise_adopted(run, 4)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    assert "<summary>old.png</summary>" in page
    assert table(page, "swatches")["background"][1] == "salmon #faa19f"
    assert table(page, "measures")["background as asked"][0] == "0 %"


def test_an_epochs_means_stand_beside_their_spread_and_number(client, run, right, wrong):
    row = drawn(run, 1, right, right, right, wrong)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    assert "Means over 4 pictures, all prompts and seeds" in page
    lines = table(page, "measures")
    assert lines["background as asked"][:3] == ["75 %", "± 50 %", "4"]
    assert lines["hair as asked"][:3] == ["100 %", "± 0 %", "4"]
    assert lines["no defects"][:3] == ["75 %", "± 50 %", "4"]
    assert "lips as asked" not in lines
    prompt_scores = [found["suggested"]["prompt"] for found in (right, right, right, wrong)]
    mean, spread = np.mean(prompt_scores), np.std(prompt_scores, ddof=1)
    assert lines["suggested prompt"][:2] == [f"{mean:.2f}", f"± {spread:.2f}"]
    assert lines["hair as asked"][3:] == ["–", "–"], "there is nothing to compare with"


def test_one_picture_alone_has_no_spread(client, run, wrong):
    row = drawn(run, 1, wrong)
    client.force_login(make_user("viewer"))
    page = shown(client, epoch_page(row))
    assert "Means over 1 picture, all" in page
    assert table(page, "measures")["background as asked"][:3] == ["0 %", "–", "1"]


def test_the_runs_page_counts_for_each_epoch_the_pictures_that_obey_a_trait(client, run, right, wrong):
    drawn(run, 2, wrong, wrong)
    drawn(run, 10, right, wrong, measured(punk(SALMON), "brown hair"))
    draw(base_alone(base_for("miniature")), right)
    client.force_login(make_user("reviewer"))
    page = shown(client, run_page(run))
    assert re.findall(r'<th scope="col">(base|epoch \d+)</th>', page) == ["base", "epoch 2", "epoch 10"]
    traits = table(page, "traits")
    assert traits["background"] == ["1/1", "0/2", "1/2"]
    assert traits["hair"] == ["1/1", "2/2", "3/3"]
    assert "lips" not in traits
    assert '<meter min="0" max="2" value="1" aria-hidden="true">' in page


def test_pages_say_when_nothing_is_measured_and_what_measures_it(client, run):
    bare = EpochResult.objects.create(training_run=run, epoch_number=1)
    old = drawn(run, 2, None)
    TestRender.objects.update(measures=OLD)
    client.force_login(make_user("viewer"))
    for row, mend in ((bare, False), (old, True)):
        page = shown(client, epoch_page(row))
        assert "Not measured yet" in page
        assert ("manage.py remeasure" in page) is mend
        assert '<div class="measured">' not in page
    assert "Traits obeyed" not in shown(client, run_page(run))
    assert "No epoch is both scored by a person and measured yet." in shown(client, reverse("evaluation:measures"))


def test_the_suggestion_beside_the_measures_is_no_score_and_tells_why(client, run, wrong):
    row = drawn(run, 1, wrong)
    client.force_login(make_user("reviewer"))
    page = shown(client, epoch_page(row))
    assert "<strong>suggested</strong> by the measures" in page
    assert "background salmon #faa19f, asked green #00ff00" in page.split('<ul class="reasons">')[1].split("</ul>")[0]
    row.refresh_from_db()
    assert (row.average, ScoreEntry.objects.get().source) == (None, "machine")
    assert "No epoch is both scored by a person and measured yet." in shown(client, reverse("evaluation:measures"))


def test_an_epochs_page_takes_the_same_queries_for_2_and_for_12_measured_pictures(client, run, right, wrong):
    client.force_login(make_user("reviewer"))
    drawn(run, 1, right, wrong)
    row = drawn(run, 2, right, wrong)
    client.get(epoch_page(row))
    few, _ = count_queries(client, epoch_page(row))
    drawn(run, 2, *[right, wrong] * 5)
    many, page = count_queries(client, epoch_page(row))
    assert page.content.decode().count('<div class="measured">') == 12
    assert few == many < 35


def test_a_runs_page_takes_the_same_queries_for_2_and_for_12_measured_epochs(client, run, right, wrong):
    client.force_login(make_user("reviewer"))
    draw(base_alone(base_for("miniature")), right)
    for epoch in (1, 2):
        drawn(run, epoch, right, wrong)
    client.get(run_page(run))
    few, _ = count_queries(client, run_page(run))
    for epoch in range(3, 13):
        drawn(run, epoch, wrong)
    many, page = count_queries(client, run_page(run))
    assert len(table(page.content.decode(), "traits")["background"]) == 13
    assert few == many < 35


def test_who_is_not_logged_in_is_sent_to_the_log_in_and_who_has_no_role_is_refused(client, run, wrong):
    row = drawn(run, 1, wrong)
    addresses = [epoch_page(row), run_page(run), reverse("evaluation:measures")]
    for address in addresses:
        answer = client.get(address)
        assert (answer.status_code, answer.url) == (302, f"{reverse('admin:login')}?next={address}")
    roleless = make_user("viewer")
    roleless.groups.clear()
    client.force_login(roleless)
    assert [client.get(address).status_code for address in addresses] == [403, 403, 403]
