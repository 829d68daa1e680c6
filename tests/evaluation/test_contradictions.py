"""Rows that contradict themselves or the pictures they belong to, as found and as `adopt_files` tells them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image

from evaluation import contradictions, metrics, scoring
from evaluation.metrics import Measured
from evaluation.models import EpochResult, PromptTestResult, TestPrompt
from punklab.pixels.measures import VERSION, measure
from runs.models import AdoptedPicture, TrainingRun
from tests.factories import make_run, make_user
from tests.pixels.drawing import enlarged, photograph, punk

pytestmark = pytest.mark.django_db
PROMPT = "portrait of bespoke punk lady, brown hair (#78461e), solid blue background (#0066ff)"
GREEN = (60, 180, 90)


@pytest.fixture
def past(tmp_path: Path) -> Path:
    folder = tmp_path / "Past files (2025)"
    folder.mkdir()
    return folder


@pytest.fixture
def run() -> TrainingRun:
    return make_run(run_name="neon", output_name="neon", max_train_epochs=10)


def make_epoch(run: TrainingRun, epoch: int, scores: Any = None, **values: Any) -> EpochResult:
    given = dict(zip(EpochResult.SCORES, scores or (None,) * 3, strict=True))
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, **{**given, **values})


def measured(*pictures: Measured) -> dict[str, Any]:
    """The columns of an epoch with these pictures, as the measures write them."""
    found = {"measured_by": metrics.MEASURED_BY, "version": VERSION}
    issues = metrics.issues_of([(f"prompt {number}", each) for number, each in enumerate(pictures)])
    own = metrics.metrics_of(pictures, "2026-01-01T00:00:00+00:00")
    return {"quantitative_metrics": own, "diagnosed_issues": {**found, "issues": issues}}


def look(cells: Any, prompt: str | None = PROMPT) -> Measured:
    return measure(enlarged(cells, 192), prompt).to_json()


def told(folder: Path) -> str:
    out = StringIO()
    call_command("adopt_files", str(folder), apply=True, stdout=out)
    return out.getvalue()


def test_a_history_without_contradictions_yields_none(run, past):
    run.best_epoch, run.quality_score, run.production_ready = 2, 8, True
    run.save()
    seen = measured(look(punk()))
    paths = {"num_test_images": 1, "test_image_paths": ["/Users/owner/a.png"]}
    make_epoch(run, 1, (2, 2, 3), verdict="failure", **seen, **paths)
    make_epoch(run, 2, (8, 8, 9), verdict="best", production_ready=True, strengths_detail=["pixel_art"], **seen)
    make_epoch(run, 3, (7, 7, 7), verdict="good", num_test_images=4)
    make_epoch(run, 4, **measured(look(punk(background=GREEN))))
    EpochResult.objects.create(epoch_number=1)
    make_run(best_epoch=4, quality_score=9, production_ready=True)
    assert contradictions.find() == []
    assert "There is nothing to adopt. No row contradicts the pictures and results it belongs to." in told(past)


def test_a_best_epoch_without_a_row_is_told_with_the_epochs_that_there_are(run, past):
    run.best_epoch = 7
    run.save()
    make_epoch(run, 3, (9, 9, 9))
    make_epoch(run, 1, (5, 5, 5))
    sentence = "neon: best_epoch is 7, but it has no row; there are 1, 3"
    assert contradictions.find() == [sentence]
    assert f"1 rows contradict the pictures or results they belong to:\n{sentence}" in told(past)


def test_a_best_epoch_that_does_not_lead_is_told_with_those_that_do(run):
    run.best_epoch = 2
    run.save()
    make_epoch(run, 1, (8, 8, 8))
    make_epoch(run, 2, (7, 8, 8))
    tied = make_epoch(run, 3, (7, 8, 9))
    assert contradictions.find() == ["neon: best_epoch is 2, but epoch 1, 3 has the best average, 8.0"]
    tied.delete()
    TrainingRun.objects.update(best_epoch=1)
    assert contradictions.find() == []


def test_one_scored_epoch_alone_makes_no_other_one_the_best(run):
    run.best_epoch = 2
    run.save()
    make_epoch(run, 1, (8, 8, 8))
    make_epoch(run, 2)
    assert contradictions.find() == []


@pytest.mark.parametrize(("score", "is_off"), [(5, True), (6, False), (7, False), (8, False), (9, True)])
def test_a_quality_score_may_be_one_off_its_best_epoch(run, score, is_off):
    run.quality_score = score
    run.save()
    make_epoch(run, 1, (7, 7, 7))
    make_epoch(run, 2, (3, 3, 3))
    expected = [f"neon: quality_score is {score}, but its best epoch averages 7.0"] if is_off else []
    assert contradictions.find() == expected


def test_a_run_ready_for_production_has_an_epoch_that_is(run):
    run.production_ready = True
    run.save()
    row = make_epoch(run, 1, production_ready=None)
    assert contradictions.find() == ["neon: production_ready, but none of its epochs is"]
    EpochResult.objects.filter(pk=row.pk).update(production_ready=True)
    assert contradictions.find() == []


@pytest.mark.parametrize(
    ("scores", "verdict", "expected"),
    [
        ((8, 8, 7), "best", ["neon epoch 1: its verdict is best, but its scores average 7.7, which is good"]),
        (
            (5, 5, 5),
            "failure",
            ["neon epoch 1: its verdict is failure, but its scores average 5.0, which is acceptable"],
        ),
        ((2, 2, 2), "good", ["neon epoch 1: its verdict is good, but its scores average 2.0, which is skip"]),
        ((2, 2, 2), "failure", []),
        ((8, 8, 8), None, []),
        (None, "best", []),
    ],
)
def test_a_verdict_follows_from_the_average(run, scores, verdict, expected):
    make_epoch(run, 1, scores, verdict=verdict)
    assert contradictions.find() == expected


def test_scores_given_through_the_act_contradict_nothing(run):
    row = make_epoch(run, 1, **measured(look(punk(background=GREEN)), photo()))
    for scores in ((9, 9, 9), (6, 5, 4), (1, 0, 2)):
        scoring.score(row, *scores, by=make_user("reviewer"))
        said = [sentence for sentence in contradictions.find() if "verdict" in sentence or "strengths" in sentence]
        assert said == []


def test_the_number_of_pictures_is_that_of_the_pictures_named(run):
    make_epoch(run, 1, num_test_images=3, test_image_paths=["/a.png", "/b.png"])
    make_epoch(run, 2, num_test_images=None, test_image_paths=["/a.png"])
    assert contradictions.find() == ["neon epoch 1: num_test_images is 3, but 2 pictures are named"]


def photo() -> Measured:
    return measure(photograph(192), PROMPT).to_json()


def test_flags_that_the_pictures_deny_are_told_with_what_the_pictures_say(run):
    flags = dict.fromkeys(("has_wrong_backgrounds", "has_random_pixels", "has_wrong_colors", "is_photorealistic"), True)
    make_epoch(run, 1, (8, 8, 8), **measured(look(punk()), look(punk())), **flags)
    start, so = "neon epoch 1: the row says that", "its 2 pictures that it is not so that"
    words = ("backgrounds are wrong", "there are random pixels", "colours are wrong", "it is photorealistic")
    assert contradictions.find() == [f"{start} {each}, {so} {each}" for each in words]


def test_issues_that_the_flags_conceal_are_told_too(run):
    make_epoch(run, 1, (8, 8, 8), **measured(photo()))
    start, but = "neon epoch 1: the row says that it is not so that", "its 1 pictures that"
    words = ("backgrounds are wrong", "there are random pixels", "colours are wrong", "it is photorealistic")
    assert contradictions.find() == [f"{start} {each}, {but} {each}" for each in words]


def test_flags_of_an_epoch_without_scores_or_without_known_prompts_are_left_alone(run):
    asked, unasked = look(punk()), look(punk(), None)
    flags = {"has_wrong_backgrounds": True, "has_wrong_colors": True}
    make_epoch(run, 1, **measured(asked), **flags)
    row = make_epoch(run, 2, (8, 8, 8), **measured(unasked), **flags)
    assert contradictions.find() == []
    EpochResult.objects.filter(pk=row.pk).update(is_photorealistic=True)
    assert len(contradictions.find()) == 1


def test_strengths_that_name_pixel_art_need_pictures_of_it(run):
    flags = {"has_wrong_backgrounds": True, "has_random_pixels": True, "has_wrong_colors": True}
    strengths = {"strengths_detail": ["clean", "pixel_art_style_maintained"]}
    make_epoch(run, 1, (8, 8, 8), **measured(photo()), **flags, is_photorealistic=True, **strengths)
    make_epoch(run, 2, **measured(photo(), look(punk())), **strengths)
    assert contradictions.find() == ["neon epoch 1: its strengths name pixel art, but 0 % of its pictures are"]


def test_a_result_is_held_against_the_adopted_picture_that_it_names(run, past):
    """Through the command: the picture is adopted and measured, then the rows are held against it."""
    prompt = TestPrompt.objects.create(prompt_name="blue_lady", prompt_text=PROMPT)
    path = past / "neon-000003_blue_lady.png"
    Image.fromarray(np.kron(punk(background=GREEN), np.ones((8, 8, 1), np.uint8))).save(path)
    row = make_epoch(run, 3)
    checks = {"correct_background_color": True, "correct_hair_color": False, "correct_eye_color": False}
    PromptTestResult.objects.create(
        epoch_result=row, test_prompt=prompt, image_path=f"C:\\Downloads\\{path.name}", is_pixel_art=True, **checks
    )
    said = told(past)
    assert AdoptedPicture.objects.get().measures["version"] == VERSION
    start, name = "neon epoch 3, blue_lady: the row says that", "the picture neon-000003_blue_lady.png that"
    expected = [
        f"{start} its background is as asked, {name} it is not so that its background is as asked",
        f"{start} it is not so that its hair is as asked, {name} its hair is as asked",
    ]
    assert contradictions.find() == expected
    assert "1 files adopted, 0 could not be. 1 pictures measured." in said
    assert "2 rows contradict the pictures or results they belong to:\n" + "\n".join(expected) in said


def test_a_result_is_not_held_against_a_picture_of_another_epoch_or_name_or_an_older_measure(run):
    def adopt(epoch: int, name: str, seen: Any) -> None:
        AdoptedPicture.objects.create(
            run=run, epoch=epoch, file=name, original_name=name, sha256=name, width=192, height=192, measures=seen
        )

    wrong = look(punk(background=GREEN))
    adopt(1, "a.png", wrong)
    adopt(2, "b.png", wrong)
    adopt(2, "old.png", {**wrong, "version": VERSION - 1})
    adopt(2, "new.png", None)
    row = make_epoch(run, 2)
    for name in ("a.png", "c.png", "old.png", "new.png", None):
        PromptTestResult.objects.create(epoch_result=row, image_path=name, correct_background_color=True)
    PromptTestResult.objects.create(epoch_result=row, image_path="b.png", correct_background_color=None)
    PromptTestResult.objects.create(image_path="b.png", correct_background_color=True)
    assert contradictions.find() == []
    PromptTestResult.objects.create(epoch_result=row, image_path="/past/b.png", correct_background_color=True)
    assert len(contradictions.find()) == 1


def test_the_rows_are_read_in_a_few_queries_however_many_there_are(run, django_assert_num_queries):
    for epoch in range(1, 9):
        make_epoch(make_run(best_epoch=1), epoch, (8, 8, 8), verdict="skip")
    with django_assert_num_queries(4):
        assert len(contradictions.find()) == 8 + 7
