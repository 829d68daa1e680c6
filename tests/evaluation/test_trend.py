from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluation import convergence, trend
from evaluation.models import EpochResult, ScoreEntry
from evaluation.trend_models import RunPatience
from punklab.pixels.measures import VERSION
from runs.models import TrainingRun
from tests.factories import make_run, make_user

pytestmark = pytest.mark.django_db


def make_scored(run: TrainingRun, epoch: int, score: int | None, **values: Any) -> EpochResult:
    """An epoch that a person scored with three times `score`."""
    scores = dict.fromkeys(EpochResult.SCORES, score)
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, **(scores | values))


def metrics_with(noise: dict[str, Any] | None = None, **means: float) -> dict[str, Any]:
    found = {
        "measured_by": "punklab",
        "version": VERSION,
        "n_pictures": 4,
        "means": means,
        "judged": dict.fromkeys(means, 4),
        "spread": {},
        "traits": {},
    }
    return found | ({"noise": noise} if noise else {})


def page_of(client, run: TrainingRun, query: str = "") -> str:
    return client.get(reverse("evaluation:trend", args=(run.pk,)) + query).content.decode()


def charts_in(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page)
    return [json.loads(each) for each in found]


@pytest.fixture
def run() -> TrainingRun:
    return make_run(run_name="bent")


@pytest.fixture
def viewer(client):
    client.force_login(make_user("viewer"))
    return client


@pytest.mark.parametrize(
    ("scores", "state", "cited"),
    [
        ((6, 7, 8), "improving", "Epoch 7 averages 8.0, the best so far."),
        ((7, 7, 7), "plateau", "Epochs 5, 6 and 7 average 7.0, 7.0 and 7.0: no new best since epoch 5."),
        ((9, 8, 6), "degrading", "Epochs 5, 6 and 7 average 9.0, 8.0 and 6.0: 2 falls running."),
    ],
)
def test_the_page_says_where_a_run_is_heading_and_cites_the_epochs(viewer, run, scores, state, cited):
    for epoch, score in enumerate(scores, start=5):
        make_scored(run, epoch, score)
    page = unescape(page_of(viewer, run))
    assert cited in page
    assert trend.trend_of(run).convergence.state == state
    assert trend.trend_of(run).convergence.advice in page


def test_the_scores_their_mean_and_the_suggested_mean_are_drawn_and_told_in_a_table(viewer, run):
    scored = make_scored(run, 1, 6, visual_quality_score=9)
    make_scored(run, 3, None)
    suggested = dict.fromkeys(EpochResult.SCORES, 4.0)
    ScoreEntry.objects.create(epoch_result=scored, source="machine", reasons=["older"], **suggested)
    suggested["style_match_score"] = 7.0
    ScoreEntry.objects.create(epoch_result=scored, source="machine", reasons=["newer"], **suggested)
    page = page_of(viewer, run)
    chart = charts_in(page)[0]
    assert chart["x"] == [1, 3]
    assert {each["label"]: each["values"] for each in chart["series"]} == {
        "visual quality": [9, None],
        "style match": [6, None],
        "prompt adherence": [6, None],
        "mean": [7.0, None],
        "suggested mean": [5.0, None],
    }
    assert [each["label"] for each in chart["series"] if each["dashed"]] == ["suggested mean"]
    assert "<td>9.0</td><td>6.0</td><td>6.0</td><td>7.0</td><td>5.0</td>" in page


def test_scores_of_a_script_are_a_curve_of_their_own(viewer, run):
    make_scored(run, 1, 9, observations="auto-scored")
    series = {each["label"]: each["values"] for each in charts_in(page_of(viewer, run))[0]["series"]}
    assert series["mean"] == [None]
    assert series["mean by a script"] == [9.0]


def test_issues_are_new_persist_and_are_resolved_over_an_epoch_of_which_nothing_was_said(run):
    make_scored(run, 1, 5, issues_detail=["wrong_eyes", "random_pixels"])
    make_scored(run, 2, None)
    diagnosed = {"measured_by": "punklab", "version": VERSION, "issues": [{"issue": "two_toned_hair"}]}
    make_scored(run, 3, 6, issues_detail=["random_pixels"], diagnosed_issues=diagnosed)
    make_scored(run, 4, 8, issues_detail=[])
    lines = [(line.new, line.persisting, line.resolved) for line in trend.trend_of(run).lines]
    assert lines == [
        (["random pixels", "wrong eyes"], None, None),
        (None, None, None),
        (["two toned hair"], ["random pixels"], ["wrong eyes"]),
        ([], [], ["random pixels", "two toned hair"]),
    ]


def test_an_issue_in_other_words_persists_and_one_measured_colour_is_not_another(run):
    make_scored(run, 1, 5, issues_detail=["lad_background_beige_not_blue", "wrong_hair_color"])
    make_scored(run, 2, 6, issues_detail=["lad_background_still_wrong", "wrong_eye_color"])
    line = trend.trend_of(run).lines[1]
    assert line.persisting == ["lad background still wrong"]
    assert (line.new, line.resolved) == (["wrong eye color"], ["wrong hair color"])


def test_measures_are_drawn_in_percent_with_the_band_of_their_noise_as_chosen(viewer, run):
    make_scored(run, 1, 6, quantitative_metrics=metrics_with(hair=0.5, clean=0.25, lips=1.0))
    make_scored(run, 2, 7, quantitative_metrics=metrics_with({"hair": {"rms": 0.2, "n": 4}}, hair=0.9, clean=0.5))
    series = {each["label"]: each for each in charts_in(page_of(viewer, run))[1]["series"]}
    assert list(series) == ["hair as asked", "no defects"]
    assert series["hair as asked"]["values"] == [50.0, 90.0]
    assert series["hair as asked"]["band"] == [[30.4, 70.4], [69.6, 100.0]]
    assert "band" not in series["no defects"]
    page = page_of(viewer, run, "?chosen=1&measure=lips&measure=nonsense")
    assert [each["label"] for each in charts_in(page)[1]["series"]] == ["lips as asked"]
    assert re.search(r'value="lips" checked', page)
    assert len(charts_in(page_of(viewer, run, "?chosen=1"))) == 1


def test_the_page_takes_as_many_queries_with_40_epochs_as_with_2(viewer, run):
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page_of(viewer, run)
        return len(queries)

    for epoch in (1, 2):
        make_scored(run, epoch, 6, quantitative_metrics=metrics_with(hair=0.5))
    count()
    few = count()
    for epoch in range(3, 41):
        scored = make_scored(run, epoch, epoch % 10, quantitative_metrics=metrics_with(hair=0.5), issues_detail=["a"])
        ScoreEntry.objects.create(
            epoch_result=scored, source="machine", reasons=["a"], **dict.fromkeys(EpochResult.SCORES, 5)
        )
    assert count() == few


def test_an_empty_run_says_so_and_outsiders_see_nothing(viewer, run, client):
    assert "No epochs yet" in page_of(viewer, run)
    client.force_login(make_user())
    assert client.get(reverse("evaluation:trend", args=(run.pk,))).status_code == 302


def test_runs_and_comparisons_lead_to_the_trend(viewer, run):
    make_scored(run, 1, 7)
    address = f'href="{reverse("evaluation:trend", args=(run.pk,))}"'
    assert address in viewer.get(reverse("admin:runs_trainingrun_change", args=(run.pk,))).content.decode()
    assert address in viewer.get(reverse("evaluation:compare", args=(run.pk,))).content.decode()


def test_an_operator_chooses_the_patience_and_the_rule_follows_it(client, run):
    for epoch, score in enumerate((5, 7, 6, 5, 6), start=1):
        make_scored(run, epoch, score)
    assert convergence.for_run(run).action == "stop"
    address = reverse("admin:runs_trainingrun_act", args=(run.pk, "patience"))
    given = {"below_best": 5, "falls": 2, "falls_from": 8}
    client.force_login(make_user("reviewer"))
    assert client.post(address, given).status_code == 403
    operator = make_user("operator")
    client.force_login(operator)
    assert client.post(address, {**given, "below_best": 0}).status_code == 200
    assert not RunPatience.objects.exists()
    assert client.post(address, given).status_code == 302
    own = RunPatience.objects.get()
    assert (own.run, own.below_best, own.by) == (run, 5, operator)
    assert convergence.for_run(run).action == "check"
    page = page_of(client, run)
    assert "stop after 5 epochs running below the best" in page
    assert [line.said and line.said.action.value for line in trend.trend_of(run).lines] == [
        "continue",
        "continue",
        "continue",
        "check",
        "check",
    ]
    assert client.post(address, {**given, "below_best": 2}).status_code == 302
    assert [line.said and line.said.action.value for line in trend.trend_of(run).lines][3] == "stop"
