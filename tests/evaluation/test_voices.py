from __future__ import annotations

import threading

import pytest
from django.db import connections

from evaluation import agreement, scoring, voices
from evaluation.models import EpochResult, ScoreEntry
from tests.factories import make_run, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]


@pytest.fixture
def epoch(db: None) -> EpochResult:
    return EpochResult.objects.create(training_run=make_run(), epoch_number=3, num_test_images=6)


@pytest.fixture
def anna(db: None):
    return make_user("reviewer", username="anna")


@pytest.fixture
def ben(db: None):
    return make_user("reviewer", username="ben")


def scores(row: EpochResult) -> list[int | None]:
    row.refresh_from_db()
    return [getattr(row, name) for name in EpochResult.SCORES]


def suggest(epoch: EpochResult, *given: float) -> None:
    ScoreEntry.objects.create(
        epoch_result=epoch, source="machine", reasons=["by rule"], **dict(zip(EpochResult.SCORES, given, strict=True))
    )


def test_the_columns_hold_the_median_of_the_reviewers_and_of_two_the_lower(epoch, anna, ben):
    scoring.score(epoch, 9, 8, 7, by=anna)
    scoring.score(epoch, 8, 8, 9, by=ben)
    assert scores(epoch) == [8, 8, 7]
    scoring.score(epoch, 9, 9, 9, by=make_user("reviewer"))
    assert scores(epoch) == [9, 8, 9]
    assert epoch.verdict == "best"
    assert epoch.score_entries.count() == 3


def test_a_score_stays_empty_while_its_reviewers_are_more_than_two_apart(epoch, anna, ben):
    scoring.score(epoch, 9, 8, 7, by=anna)
    scoring.score(epoch, 6, 8, 9, by=ben)
    assert scores(epoch) == [None, 8, 7]
    assert epoch.verdict is None
    assert EpochResult.objects.awaiting_scores().get() == epoch
    heard = voices.standing(epoch.score_entries.all())
    assert "2 reviewers are 3 points on visual apart" in voices.disagreement(heard)
    scoring.score(epoch, 7, 8, 9, by=ben)
    assert scores(epoch) == [7, 8, 7]
    assert epoch.verdict == "good"


def test_scores_of_nobody_known_stand_until_somebody_known_scores(epoch, anna, ben):
    scoring.score(epoch, 4, 4, 4, "Cyan pixels", by=None)
    scoring.score(epoch, 8, 8, 8, by=anna)
    assert scores(epoch) == [8, 8, 8]
    assert epoch.observations == "Cyan pixels", "words stand until they are replaced"
    scoring.score(epoch, 9, 9, 9, "Clean", by=ben)
    assert scores(epoch) == [8, 8, 8]
    assert epoch.observations == "anna: Cyan pixels\nben: Clean"


def test_what_any_reviewer_names_is_an_issue(epoch, anna, ben):
    scoring.score(epoch, 8, 8, 8, by=anna, issues=["random_pixels"])
    scoring.score(epoch, 8, 8, 8, by=ben, issues=["random_pixels", "wrong_background_color"])
    epoch.refresh_from_db()
    assert epoch.issues_detail == ["random_pixels", "wrong_background_color"]
    assert (epoch.has_random_pixels, epoch.has_wrong_backgrounds, epoch.is_overtrained) == (True, True, False)


def test_scores_taken_back_leave_what_was_before_and_stay_in_the_history(epoch, anna, ben):
    scoring.score(epoch, 5, 5, 5, by=ben)
    scoring.score(epoch, 6, 6, 6, by=anna)
    scoring.score(epoch, 7, 7, 7, by=anna)
    assert scoring.withdraw(epoch, by=anna).visual_quality_score == 7
    assert scores(epoch) == [5, 5, 5]
    scoring.withdraw(epoch, by=anna)
    scoring.withdraw(epoch, by=ben)
    assert scores(epoch) == [None, None, None]
    assert epoch.verdict is None
    assert epoch.score_entries.count() == 6
    with pytest.raises(scoring.ScoringError, match="No scores of anna stand"):
        scoring.withdraw(epoch, by=anna)


def test_a_scripts_scores_come_back_when_a_persons_are_taken_back(epoch, anna):
    EpochResult.objects.filter(pk=epoch.pk).update(
        observations="Auto-scored by compare.py", verdict="best", **dict.fromkeys(EpochResult.SCORES, 9)
    )
    scoring.score(epoch, 5, 5, 5, by=anna)
    scoring.withdraw(epoch, by=anna)
    assert scores(epoch) == [9, 9, 9]
    assert epoch.is_machine_scored


def test_a_suggestion_taken_over_is_recorded_as_accepted_and_proves_nothing_of_the_measures(epoch, anna, ben):
    EpochResult.objects.filter(pk=epoch.pk).update(
        quantitative_metrics={"measured_by": "punklab", "means": {"background": 1.0}}
    )
    suggest(epoch, 6.5, 7.6, 8.0)
    every = EpochResult.SCORES
    scoring.score(epoch, 6, 8, 8, by=anna, accepted=every)
    entry = epoch.score_entries.first()
    assert (entry.source, entry.accepted) == ("accepted", list(every))
    assert agreement.history().epochs == ()
    scoring.score(epoch, 6, 8, 7, by=anna, accepted=every)
    entry = epoch.score_entries.first()
    assert (entry.source, entry.accepted) == ("person", list(every[:2])), "a score that differs was judged"
    assert agreement.history().epochs == ()
    scoring.score(epoch, 6, 8, 7, by=anna)
    assert len(agreement.history().epochs) == 1
    scoring.score(epoch, 6, 8, 8, by=ben, accepted=every)
    assert agreement.history().epochs == (), "one of its reviewers took the suggestion over"
    scoring.withdraw(epoch, by=ben)
    assert len(agreement.history().epochs) == 1


def test_clearing_silences_every_reviewer(epoch, anna, ben):
    scoring.score(epoch, 8, 8, 8, by=anna)
    scoring.score(epoch, 8, 8, 8, by=ben)
    scoring.clear(epoch, by=anna)
    assert scores(epoch) == [None, None, None]
    assert voices.standing(epoch.score_entries.all()) == []


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_who_save_at_the_same_moment_are_both_kept(epoch, anna, ben):
    start = threading.Barrier(2)

    def save(person, value):
        start.wait()
        scoring.score(epoch, value, value, value, by=person)
        connections.close_all()

    threads = [threading.Thread(target=save, args=args) for args in ((anna, 8), (ben, 7))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert scores(epoch) == [7, 7, 7]
    assert epoch.score_entries.count() == 2


def test_unattended_scoring_is_off_by_default_and_marked_as_a_machines_where_it_is_on(epoch, anna, settings):
    suggest(epoch, 8.4, 8.0, 7.5)
    assert scoring.score_unattended() == 0
    settings.UNATTENDED_SCORING = True
    assert scoring.score_unattended() == 1
    assert scoring.score_unattended() == 0
    assert scores(epoch) == [8, 8, 7]
    assert epoch.is_machine_scored
    assert epoch.score_entries.first().source == "machine"
    assert voices.standing(epoch.score_entries.all()) == []
    scoring.score(epoch, 5, 5, 5, by=anna)
    assert scores(epoch) == [5, 5, 5]
    assert not epoch.is_machine_scored


def test_an_incomplete_suggestion_scores_nothing(epoch, settings):
    settings.UNATTENDED_SCORING = True
    ScoreEntry.objects.create(epoch_result=epoch, source="machine", reasons=["by rule"], visual_quality_score=8)
    assert scoring.score_unattended() == 0
    assert scores(epoch) == [None, None, None]
