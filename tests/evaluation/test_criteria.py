"""A criterion named before the training: judged once, early stop obeys it, and closing a run tells its story."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse
from django_q.models import Schedule

from evaluation import closing, criteria, metrics
from evaluation.closing import story_of
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from evaluation.standing import standings
from evaluation.suite import queue
from punklab.pixels.measures import VERSION
from runs.models import RunPlan, TrainingJob, TrainingRun
from runs.training import close
from tests.factories import make_checkpoint, make_job, make_run, make_user

pytestmark = pytest.mark.django_db


def planned(run=None, **values):
    facts = {"measure": "average", "epoch": 2, "direction": "at_least", "threshold": 6.0}
    return RunPlan.objects.create(run=run or make_run(), **(facts | values))


def scored(run, epoch, scores=(8, 8, 8), **values):
    return EpochResult.objects.create(
        training_run=run, epoch_number=epoch, **(dict(zip(EpochResult.SCORES, scores, strict=True)) | values)
    )


def measured(run, epoch, **means):
    ours = {"measured_by": metrics.MEASURED_BY, "version": VERSION, "means": means, "n_pictures": 3}
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, quantitative_metrics=ours)


def judged(plan):
    plan.refresh_from_db()
    return plan.is_met


def test_the_check_is_scheduled_each_minute():
    assert Schedule.objects.get(func="evaluation.criteria.check").minutes == 1


def test_a_training_that_fails_its_criterion_ends_and_says_which_value_it_was():
    plan = planned()
    job = make_job(run=plan.run)
    scored(plan.run, 1, (1, 1, 1))
    assert criteria.check() == "0 criteria judged", "another epoch decides"
    scored(plan.run, 2, (5, 6, 6))
    assert criteria.check() == "1 criteria judged"
    job.refresh_from_db()
    assert job.status == TrainingJob.Status.CANCELLED
    said = "Not met: epoch 2, the average of a person's three scores, is to be at least 6; it is 5.66667."
    assert said in job.message
    assert said in TrainingRun.objects.get(pk=plan.run.pk).notes
    assert judged(plan) is False
    assert plan.outcome == said


def test_a_criterion_is_judged_once_and_a_training_started_again_goes_on():
    plan = planned()
    row = scored(plan.run, 2, (5, 5, 5))
    criteria.check()
    job = make_job(run=plan.run)
    EpochResult.objects.filter(pk=row.pk).update(visual_quality_score=1)
    assert criteria.check() == "0 criteria judged"
    assert not criteria.judge(plan, 1.0)
    job.refresh_from_db()
    assert (job.status, job.cancel_requested_at) == ("queued", None)


def test_a_criterion_that_is_met_ends_nothing():
    plan = planned(threshold=8.0)
    job = make_job(run=plan.run)
    scored(plan.run, 2)
    criteria.check()
    job.refresh_from_db()
    assert (judged(plan), job.status) == (True, "queued")
    assert plan.outcome.startswith("Met: epoch 2")


@pytest.mark.parametrize(
    ("direction", "value", "is_met"),
    [("at_least", 6.0, True), ("at_least", 5.99, False), ("at_most", 6.0, True), ("at_most", 6.01, False)],
)
def test_the_threshold_itself_is_enough(direction, value, is_met):
    plan = planned(direction=direction)
    assert criteria.judge(plan, value)
    assert judged(plan) is is_met


def test_a_script_s_scores_meet_no_criterion():
    plan = planned()
    scored(plan.run, 2, observations="Auto-scored by test_suite.py")
    assert criteria.value_of(plan) is None


def test_a_measure_is_judged_in_percent_once_all_its_pictures_are_drawn():
    plan = planned(measure="hair", threshold=70)
    checkpoint = make_checkpoint(run=plan.run, epoch=2)
    measured(plan.run, 2, hair=0.65, lattice=0.5)
    queue(checkpoint, "medium")
    assert criteria.value_of(plan) is None
    TestRender.objects.update(status=Status.RENDERED)
    assert criteria.value_of(plan) == pytest.approx(65)
    criteria.check()
    assert judged(plan) is False
    assert "hair as asked, percent, is to be at least 70; it is 65." in plan.outcome
    plan.measure = "lattice"
    assert criteria.value_of(plan) == 0.5
    plan.measure = "clean"
    assert criteria.value_of(plan) is None


def test_a_run_s_story_tells_hypothesis_changes_scores_and_findings():
    parent, run, by = make_run(run_name="parent"), make_run(run_name="child"), make_user("operator")
    scored(parent, 1, (9, 9, 9))
    scored(run, 1, (6, 6, 6))
    scored(run, 2, (7, 8, 7))
    planned(
        run, parent=parent, changes={"network_dim": [32, 64]}, hypothesis="Larger is better", outcome="Met: it is 7.3."
    )
    story = story_of(run, "failure", findings="Too large.", best_epoch=1, by=by)
    assert story.partition(", ")[2] == (
        f"closed as failure by {by.username}. Hypothesis: Larger is better. Changed against parent: network_dim 32 to 64. "
        "Scores: best epoch 2 with 7.3 (7, 8, 7), 2 epochs scored. "
        "parent: best epoch 1 with 9.0 (9, 9, 9), 1 epoch scored, so this run is 1.7 worse. "
        "Epoch 1 was chosen as the best. Criterion: met: it is 7.3. Findings: Too large."
    )


def test_closing_by_page_and_by_command_writes_the_story(client):
    run, other = make_run(comparison_notes="Before."), make_run()
    client.force_login(make_user("operator"))
    address = reverse("admin:runs_trainingrun_act", args=(run.pk, "close"))
    assert client.post(address, {"verdict": "partial", "findings": "Hair is right."}).status_code == 302
    run.refresh_from_db()
    assert run.comparison_notes.startswith("Before.\n")
    assert "Scores: no epoch scored by a person. Findings: Hair is right." in run.comparison_notes
    assert run.key_findings == "Hair is right."
    call_command("close_run", other.run_name, "failure", findings="Photographs")
    other.refresh_from_db()
    assert other.comparison_notes.endswith("Findings: Photographs.")


def test_a_run_that_cannot_be_closed_gets_no_story():
    run = make_job().run
    with pytest.raises(Exception, match="a job is still running"):
        close(run, "failure", findings="x", story="a story")
    run.refresh_from_db()
    assert run.comparison_notes is None


def test_a_best_epoch_named_on_closing_is_a_persons_choice_of_it():
    run, by = make_run(), make_user("operator")
    scored(run, 1, (6, 6, 6))
    scored(run, 2, (7, 8, 7))
    closing.close(run, "partial", findings="Hair is right.", best_epoch=2, by=by)
    assert not run.best_epoch_choices.exists(), "the computed one needs no choice"
    closing.close(run, "partial", findings="Eyes are right.", best_epoch=1, by=by)
    choice = run.best_epoch_choices.get()
    assert (choice.epoch_result.epoch_number, choice.by) == (1, by)
    assert choice.reason == "Named when the run was closed as partial. Eyes are right."
    assert standings([run])[run.pk].average == 6.0
