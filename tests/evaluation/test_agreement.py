"""How measures agree with people's scores, which scores count, and the scores suggested from them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from evaluation import agreement, metrics, scoring, suggestions
from evaluation.agreement import Agreement, History, Scored
from evaluation.models import EpochResult, ScoreEntry
from punklab.pixels.measures import VERSION, measure
from tests.console_rows import count_queries
from tests.factories import make_run, make_user
from tests.pixels.drawing import enlarged, punk

PROMPT = "portrait of bespoke punk lady, brown hair (#78461e), solid blue background (#0066ff)"
GREEN = (60, 180, 90)
PAGE = "/console/measures/"


def history_of(key: str, values: Any, scores: Any) -> History:
    """A history of one measure beside one score, which all targets share."""
    told = zip(values, scores, strict=True)
    return History(tuple(Scored({key: value}, dict.fromkeys(agreement.TARGETS, score)) for value, score in told))


def agreement_of(values: Any, scores: Any) -> Agreement:
    found = history_of("background", values, scores).agreements("average")
    return next(each for each in found if each.measure.key == "background")


def make_epoch(run: Any, epoch: int, scores: Any, means: dict[str, float], **values: Any) -> EpochResult:
    mine = {"measured_by": metrics.MEASURED_BY, "version": VERSION, "means": means}
    given = dict(zip(EpochResult.SCORES, scores, strict=True))
    written = {"quantitative_metrics": mine, **given, **values}
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, **written)


def make_history(n_epochs: int) -> None:
    """Epochs that people score by one measure each, unlike the rule, which always says 5."""
    run, chance = make_run(), np.random.default_rng(4)
    for epoch in range(1, n_epochs + 1):
        scores = chance.integers(0, 11, 3).tolist()
        means = dict.fromkeys(("suggested_visual", "suggested_style", "suggested_prompt"), 5.0)
        seen = zip(("clean", "pixel_art", "background"), scores, strict=True)
        make_epoch(run, epoch, scores, means | {key: score / 10 for key, score in seen})


@pytest.fixture
def run(db: None) -> Any:
    return make_run()


def n_counted() -> int:
    return len(agreement.history().epochs)


def test_a_measure_that_orders_epochs_as_people_do_is_trusted_and_one_that_orders_them_the_other_way_is_not():
    scores = [1, 4, 2, 9, 7, 5]
    same, opposite = agreement_of([score / 10 for score in scores], scores), agreement_of([-s for s in scores], scores)
    assert (same.share, same.low, same.high, same.epochs, same.pairs) == (1, 1, 1, 6, 15)
    assert same.is_trusted
    assert (opposite.share, opposite.high) == (0, 0)
    assert not opposite.is_trusted


def test_a_random_measure_has_an_interval_that_holds_one_half_and_is_not_trusted():
    trusted = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        found = agreement_of(chance.random(40), chance.integers(0, 11, 40))
        assert found.low is not None
        assert found.high is not None
        assert found.low < (found.share or 0) < found.high
        assert found.high - found.low < 0.3
        trusted += found.is_trusted
    assert trusted <= 2
    at_half = Agreement(metrics.BY_KEY["hair"], epochs=9, pairs=30, share=0.7, low=0.5, high=0.9)
    assert not at_half.is_trusted


def test_a_tie_of_the_measure_counts_half_and_one_of_the_people_does_not_count():
    tie = agreement_of([0.2, 0.2, 0.9], [1, 2, 3])
    assert tie.pairs == 3
    assert tie.share == pytest.approx(2.5 / 3)
    assert agreement_of([0.2, 0.5, 0.9], [6, 6, 7]).pairs == 2
    rounded = agreement_of([0.6666, 0.6667, 0.9], [2, 1, 3])
    assert rounded.share == pytest.approx(2.5 / 3), "stored means are rounded, so this is a tie"


def test_under_five_epochs_have_no_interval_and_are_not_trusted():
    four, five = agreement_of([1, 2, 3, 4], [1, 2, 3, 4]), agreement_of([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert (four.share, four.low, four.high, four.is_trusted) == (1, None, None, False)
    assert (five.low, five.is_trusted) == (1, True)


def test_a_measure_that_says_the_same_of_all_agrees_with_nobody():
    same = agreement_of([0.5] * 6, range(6))
    assert (same.pairs, same.share, same.low, same.is_trusted) == (15, None, None, False)
    assert agreement_of([1, 2, 3], [7, 7, 7]).pairs == 0


def test_epochs_that_a_measure_says_nothing_of_are_left_out_of_its_pairs():
    epochs = history_of("background", [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]).epochs
    bare = Scored({"hair": 1.0}, dict.fromkeys(agreement.TARGETS, 0.0))
    found = {each.measure.key: each for each in History((*epochs, bare)).agreements("average")}
    assert (found["background"].epochs, found["background"].pairs, found["background"].share) == (6, 15, 1)
    assert (found["hair"].epochs, found["hair"].share) == (1, None)
    assert len(found) == len(metrics.MEASURES)


def test_real_measures_agree_with_people_on_what_they_see(run, django_assert_num_queries):
    right = measure(enlarged(punk(), 192), PROMPT).to_json()
    wrong = measure(enlarged(punk(background=GREEN), 192), PROMPT).to_json()
    for n_right in range(6):
        own = metrics.metrics_of([right] * n_right + [wrong] * (5 - n_right), "now")
        make_epoch(run, n_right, (5, 5, 2 * n_right), {}, quantitative_metrics=own)
    with django_assert_num_queries(1):
        history = agreement.history()
    found = {each.measure.key: each for each in history.agreements("prompt_adherence_score")}
    assert found["background"].is_trusted
    assert found["suggested_prompt"].is_trusted
    assert found["hair"].share is None
    assert all(each.pairs == 0 for each in history.agreements("visual_quality_score"))
    assert {each.share for each in history.agreements("average") if each.measure.key == "background"} == {1}


def test_only_epochs_with_all_scores_and_measures_count_the_latest_first(run, monkeypatch):
    make_epoch(run, 5, (4, 4, 4), {})
    for epoch in (1, 2, 3):
        make_epoch(run, epoch, (epoch, epoch, epoch + 3), {"hair": 0.5})
    make_epoch(run, 4, (4, None, 4), {"hair": 0.5})
    make_epoch(run, 6, (4, 4, 4), {}, quantitative_metrics={"measured_by": "a script", "means": {"hair": 0.5}})
    make_epoch(run, 7, (4, 4, 4), {}, quantitative_metrics=None)
    assert [epoch.scores["average"] for epoch in agreement.history().epochs] == [4, 3, 2]
    monkeypatch.setattr(agreement, "MOST_EPOCHS", 2)
    assert [epoch.scores["average"] for epoch in agreement.history().epochs] == [4, 3]


def test_our_measures_count_beside_those_of_another_script(run):
    own = {"measured_by": metrics.MEASURED_BY, "version": VERSION, "means": {"hair": 0.25}}
    make_epoch(run, 1, (4, 4, 4), {}, quantitative_metrics=metrics.beside_theirs({"sharpness": 3}, own))
    assert [epoch.means for epoch in agreement.history().epochs] == [{"hair": 0.25}]


@pytest.mark.parametrize("words", ["Auto-scored by compare.py", "  auto-scored: 8/8/8"])
def test_scores_of_a_script_never_count_until_a_person_scores_anew(run, words):
    row = make_epoch(run, 1, (8, 8, 8), {"hair": 0.5}, observations=words)
    assert n_counted() == 0
    scoring.score(row, 3, 4, 5, by=make_user("reviewer"))
    (epoch,) = agreement.history().epochs
    assert epoch.scores["average"] == 4


def test_a_suggestion_beside_a_persons_scores_takes_nothing_from_them_and_is_no_score_itself(run):
    row = make_epoch(run, 1, (8, 8, 8), {"hair": 0.5})
    unscored = make_epoch(run, 2, (None, None, None), {"hair": 0.5})
    for each in (row, unscored):
        ScoreEntry.objects.create(epoch_result=each, source="machine", reasons=["suggested by rule"])
    assert n_counted() == 1
    scoring.clear(row, by=make_user("reviewer"))
    assert n_counted() == 0


@pytest.mark.django_db
def test_under_thirty_epochs_the_rule_suggests_and_says_so():
    make_history(29)
    means = {"suggested_visual": 7.26, "suggested_style": 3.0, "clean": 1.0, "pixel_art": 0.9}
    scores, sentence = suggestions.suggest(means)
    assert tuple(scores.values()) == (7.3, 3.0, None)
    assert sentence == "suggested by rule: 29 epochs are scored by people and measured, a fit needs 30"


@pytest.mark.django_db
def test_from_thirty_epochs_on_a_fit_that_does_better_suggests_what_people_would_give():
    make_history(30)
    rule = dict.fromkeys(("suggested_visual", "suggested_style", "suggested_prompt"), 5.0)
    scores, sentence = suggestions.suggest({"clean": 0.9, "pixel_art": 0.2, "background": 0.6, **rule})
    assert tuple(scores.values()) == pytest.approx((9, 2, 6), abs=0.8)
    assert sentence.startswith("suggested by a fit to 30 epochs that people scored: visual_quality off by 0.")
    told = re.findall(r"(\w+) off by (\d\.\d) \(rule: (\d\.\d)\)", sentence)
    assert [name for name, _, _ in told] == ["visual_quality", "style_match", "prompt_adherence"]
    assert all(float(error) < 1 < float(rule_error) for _, error, rule_error in told)


def test_a_fit_weighs_trusted_measures_only_and_stays_on_the_scale():
    chance = np.random.default_rng(1)
    scores = chance.integers(0, 11, 40).tolist()
    noise = chance.random(40).tolist()
    epochs = tuple(
        Scored({"clean": score / 10, "hair": other}, dict.fromkeys(agreement.TARGETS, float(score)))
        for score, other in zip(scores, noise, strict=True)
    )
    fit = suggestions.fit_of(History(epochs), "visual_quality_score")
    assert fit is not None
    assert fit.keys == ("clean",)
    assert fit.score({"clean": 5.0}) == 10
    assert fit.score({"clean": -5.0}) == 0
    assert fit.score({"hair": 0.1}) == pytest.approx(np.mean(scores)), "what is missing counts as average"


@pytest.mark.parametrize("values", ["as the rule", "at random"])
def test_the_rule_is_kept_where_no_fit_does_better(run, values):
    chance = np.random.default_rng(2)
    for epoch in range(1, 33):
        scores = chance.integers(0, 11, 3).tolist()
        said = scores if values == "as the rule" else [5, 5, 5]
        means = dict(zip(("suggested_visual", "suggested_style", "suggested_prompt"), map(float, said), strict=True))
        make_epoch(run, epoch, scores, {**means, "clean": float(chance.random())})
    scores, sentence = suggestions.suggest({"suggested_visual": 6.0, "suggested_style": 5.0, "suggested_prompt": 1.0})
    assert tuple(scores.values()) == (6, 5, 1)
    assert sentence == "suggested by rule: over 32 epochs that people scored no fit does better"


def rows_of(page: Any) -> dict[str, str]:
    """A row's HTML by the label of its measure."""
    rows = re.findall(r'<tr[^>]*>\s*<th scope="row">.*?</tr>', page.content.decode(), re.DOTALL)
    return {row.split("</th>")[0].split(">")[-1]: row for row in rows}


def test_the_page_greys_what_is_not_trusted_and_shows_it_last(client, run):
    assert reverse("evaluation:measures") == PAGE
    for epoch, hair in enumerate((0.3, 0.9, 0.1, 0.5, 0.4, 0.2), start=1):
        make_epoch(run, epoch, (epoch, 5, 7 - epoch), {"background": epoch / 10, "hair": hair, "solid": 1.0})
    client.force_login(make_user("viewer"))
    rows = rows_of(client.get(PAGE, {"score": "visual_quality_score"}))
    assert [label for label, row in rows.items() if "greyed" not in row] == ["background as asked"] == list(rows)[:1]
    assert "100 % to 100 %" in rows["background as asked"]
    assert "the same for every epoch" in rows["background solid"]
    assert "no pair" in rows["pixel art"]
    assert all("greyed" in row for row in rows_of(client.get(PAGE, {"score": "prompt_adherence_score"})).values())
    assert client.get(PAGE, {"score": "run_name"}).status_code == 404


def test_the_page_says_when_epochs_are_too_few_and_when_there_are_none(client, run):
    client.force_login(make_user("viewer"))
    page = client.get(PAGE)
    assert "No epoch is both scored by a person and measured yet." in page.content.decode()
    assert all("greyed" in row and "no pair" in row for row in rows_of(page).values())
    assert page.content.decode().count(": by rule</li>") == 3
    for epoch in (1, 2):
        make_epoch(run, epoch, (epoch, epoch, epoch), {"hair": epoch / 10})
    page = client.get(PAGE)
    assert "Over the 2 epochs that people scored and measures know." in page.content.decode()
    assert "too few epochs (under 5)" in rows_of(page)["hair as asked"]


@pytest.mark.django_db
def test_the_page_takes_the_same_queries_for_five_epochs_and_for_fifty(client):
    client.force_login(make_user("viewer"))
    make_history(5)
    client.get(PAGE)
    few, page = count_queries(client, PAGE)
    assert page.content.decode().count(": by rule</li>") == 3
    make_history(45)
    many, page = count_queries(client, PAGE)
    assert few == many
    assert "visual: fitted to 50 epochs by clean" in page.content.decode()


@pytest.mark.django_db
def test_who_may_not_see_epochs_does_not_see_the_page(client):
    assert client.get(PAGE).status_code == 302
    user = make_user("viewer")
    user.groups.clear()
    client.force_login(user)
    assert client.get(PAGE).status_code == 403


@pytest.mark.django_db
def test_rows_of_an_older_shape_take_no_place_of_those_that_can_be_read(run, monkeypatch):
    monkeypatch.setattr(agreement, "MOST_EPOCHS", 3)
    make_epoch(run, 1, (8, 8, 8), {"hair": 0.5})
    for epoch in range(2, 6):
        row = make_epoch(run, epoch, (8, 8, 8), {"hair": 0.5})
        row.quantitative_metrics = {"measured_by": "punklab", "background_accuracy": 50.0}
        row.save()
    assert n_counted() == 1


def test_a_fit_needs_no_rule_to_be_told_from():
    epochs = tuple(Scored({"clean": (n % 11) / 10}, dict.fromkeys(agreement.TARGETS, float(n % 11))) for n in range(33))
    fit = suggestions.fit_of(History(epochs), "prompt_adherence_score")
    assert fit is not None
    assert fit.rule_error is None
    assert fit.error < 1
