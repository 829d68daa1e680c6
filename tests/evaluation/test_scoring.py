from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from evaluation import scoring
from evaluation.models import EpochResult, ScoreEntry
from tests.factories import make_checkpoint, make_run, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]


def make_epoch(**values):
    return EpochResult.objects.create(training_run=make_run(), epoch_number=3, **values)


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((8, 8, 8), "best"),
        ((9, 8, 7), "best"),
        ((8, 8, 7), "good"),
        ((7, 7, 7), "good"),
        ((7, 7, 6), "acceptable"),
        ((5, 5, 5), "acceptable"),
        ((5, 5, 4), "skip"),
        ((0, 0, 0), "skip"),
    ],
)
def test_the_average_of_three_gives_the_verdict(scores, verdict):
    assert scoring.score(make_epoch(), *scores, by=None).verdict == verdict


def test_low_scores_say_what_is_wrong_when_nobody_says_more():
    row = scoring.score(make_epoch(), 6, 8, 6, "Pink background", by=None)
    assert row.issues_detail == ["wrong_background_color", "color_accuracy_issues"]
    assert (row.has_wrong_backgrounds, row.has_wrong_colors) == (True, True)
    assert row.strengths_detail == ["pixel_art_style_maintained", "not_photorealistic"]
    assert row.observations == "Pink background"
    row = scoring.score(row, 7, 7, 7, by=None)
    assert (row.issues_detail, row.has_wrong_backgrounds, row.has_wrong_colors) == ([], False, False)
    assert row.observations == "Pink background"


def test_a_measure_overrules_the_rule_and_a_person_overrules_the_measure():
    metrics = {"measured_by": "punklab", "background_accuracy": 100.0, "color_accuracy": 50.0, "pixel_art_purity": 0.0}
    row = scoring.score(make_epoch(quantitative_metrics=metrics), 9, 9, 2, by=None)
    assert (row.issues_detail, row.has_wrong_backgrounds) == (["color_accuracy_issues"], False)
    assert row.strengths_detail == ["not_photorealistic"]
    row = scoring.score(row, 9, 9, 2, by=None, issues=["lad_background_beige"], strengths=["crisp hair"])
    assert (row.issues_detail, row.strengths_detail) == (["lad_background_beige"], ["crisp hair"])
    assert (row.has_wrong_backgrounds, row.has_wrong_colors) == (True, False)
    row = scoring.score(row, 8, 8, 8, by=None)
    assert row.issues_detail == ["lad_background_beige"], "a person's word stands until it is replaced"
    assert scoring.score(row, 8, 8, 8, by=None, issues=[]).issues_detail == []


@pytest.mark.parametrize("metrics", [{"background_accuracy": 1.6}, ["auto"], "none", 18.0])
def test_metrics_of_another_script_say_nothing_and_are_no_obstacle(metrics):
    row = scoring.score(make_epoch(quantitative_metrics=metrics), 9, 9, 9, by=None)
    assert row.issues_detail == []
    row.refresh_from_db()
    assert row.quantitative_metrics == metrics


def test_a_photorealistic_epoch_gets_no_strength_that_denies_it():
    assert scoring.score(make_epoch(is_photorealistic=True), 9, 9, 9, by=None).strengths_detail == []


def test_each_scoring_and_clearing_is_appended_with_its_person():
    reviewer = make_user("reviewer")
    row = scoring.score(make_epoch(), 7, 8, 9, "Fine crown", by=reviewer)
    row = scoring.clear(row, by=reviewer)
    assert [getattr(row, name) for name in EpochResult.SCORES] == [None] * 3
    assert (row.verdict, row.observations, row.issues_detail, row.has_wrong_colors) == (None, None, None, False)
    cleared, given = ScoreEntry.objects.all()
    assert (given.by, given.verdict, given.observations) == (reviewer, "best", "Fine crown")
    assert cleared.is_clearing
    assert str(cleared).endswith("none, none, none")
    scoring.clear(row, by=reviewer)
    assert ScoreEntry.objects.count() == 2


def test_scores_from_before_go_into_the_history_and_her_words_stay():
    row = make_epoch(
        visual_quality_score=4,
        style_match_score=4,
        prompt_adherence_score=5,
        verdict="failure",
        observations="Cyan pixels",
        issues_detail=["cyan_random_pixels"],
        has_wrong_backgrounds=True,
    )
    row = scoring.score(row, 8, 8, 8, by=None)
    assert (row.issues_detail, row.has_wrong_backgrounds) == (["cyan_random_pixels"], True)
    newest, former = ScoreEntry.objects.all()
    assert (former.source, former.verdict, former.observations) == ("person", "failure", "Cyan pixels")
    assert newest.verdict == "best"


def test_a_person_s_scores_replace_a_script_s_which_stay_marked_in_the_history():
    scores = dict.fromkeys(EpochResult.SCORES, 9)
    row = make_epoch(observations="Auto-scored by a script", issues_detail=["nonsense"], verdict="best", **scores)
    row = scoring.score(row, 6, 7, 7, by=None)
    assert not row.is_machine_scored
    assert row.issues_detail == ["color_accuracy_issues"]
    person, machine = ScoreEntry.objects.all()
    assert (machine.source, person.source) == ("machine", "person")
    assert machine.observations == "Auto-scored by a script"


@pytest.mark.parametrize(
    ("scores", "problems"),
    [
        ((7, None, None), ["all three scores or none: style and prompt missing"]),
        ((11, -1, 7.5), ["visual score is 11", "style score is -1", "prompt score is 7.5; it must be a whole number"]),
        ((True, 7, None), ["prompt missing", "visual score is True"]),
    ],
)
def test_everything_that_is_wrong_with_scores_is_said_at_once(scores, problems):
    row = make_epoch()
    with pytest.raises(scoring.ScoringError) as refusal:
        scoring.score(row, *scores, by=None)
    assert len(refusal.value.problems) == len(problems)
    assert all(problem in said for problem, said in zip(problems, refusal.value.problems, strict=True))
    row.refresh_from_db()
    assert row.visual_quality_score is None


def test_the_command_scores_by_run_and_epoch():
    reviewer = make_user("reviewer")
    run = make_run(run_name="known")
    checkpoint = make_checkpoint(run=run, epoch=2)
    out = StringIO()
    call_command("score", "known", "2", "7", "6", "8", "Two-toned hair", by=reviewer.username, stdout=out)
    row = EpochResult.objects.get(training_run=run, epoch_number=2)
    assert (row.average, row.observations, row.checkpoint_path) == (7.0, "Two-toned hair", str(checkpoint.path))
    assert row.score_entries.get().by == reviewer
    assert out.getvalue().strip() == f"{row}: good (7.0)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("known", "9", "7", "7", "7"), "no epoch 9; it has 3"),
        (("unknown", "3", "7", "7", "7"), "no run called 'unknown'"),
        (("known", "3", "7", "12"), "prompt missing"),
        (("known", "3", "7", "12"), "style score is 12"),
        (("known", "3", "7", "7", "fine crown"), "prompt score is 'fine crown'"),
        (("known", "3", "7", "7", "7", "fine", "crown"), "in quotes"),
        (("known", "3", "7", "7", "7", "--by=nobody"), "nobody with the log-in"),
    ],
)
def test_the_command_refuses_clearly_and_writes_nothing(arguments, message):
    EpochResult.objects.create(training_run=make_run(run_name="known"), epoch_number=3)
    with pytest.raises(CommandError, match=message):
        call_command("score", *arguments)
    assert not ScoreEntry.objects.exists()


def test_a_viewer_may_not_score():
    EpochResult.objects.create(training_run=make_run(run_name="known"), epoch_number=3)
    with pytest.raises(CommandError, match="role reviewer"):
        call_command("score", "known", "3", "7", "7", "7", by=make_user("viewer").username)


def test_an_epoch_that_there_is_not_cannot_be_compared():
    with pytest.raises(CommandError, match="99"):
        call_command("compare", make_epoch().training_run.run_name, "99")
