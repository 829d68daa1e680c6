from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from runs.models import TrainingRun
from runs.package import plan_of
from runs.training import ActError, close, new_job
from tests.factories import make_caption_version, make_job, make_run, make_user

pytestmark = pytest.mark.django_db


def test_status_verdict_score_epoch_and_findings_are_written_together():
    person = make_user("operator")
    run = make_run(key_findings="Too dark at first.", max_train_epochs=10)
    close(run, "success", findings="Clean backgrounds from 6 on.", quality_score=9, best_epoch=7, by=person)
    run = TrainingRun.objects.get(pk=run.pk)
    assert (run.status, run.overall_verdict, run.quality_score, run.best_epoch) == ("completed", "success", 9, 7)
    assert run.key_findings == "Too dark at first.\nClean backgrounds from 6 on."
    assert f"closed as success by {person.username}" in run.notes


def test_a_run_that_is_closed_while_its_start_is_being_checked_is_not_started(monkeypatch):
    run = make_run(caption_version=make_caption_version().version_name)

    def closed_meanwhile(*args):
        close(TrainingRun.objects.get(pk=run.pk), "failure", findings="Given up.")
        return plan_of(*args)

    monkeypatch.setattr("runs.training.plan_of", closed_meanwhile)
    with pytest.raises(ActError, match="closed at this very moment"):
        new_job(run)
    run.refresh_from_db()
    assert (run.overall_verdict, run.status, run.jobs.count()) == ("failure", "completed", 0)


def test_a_failed_training_keeps_its_status_when_a_person_closes_it():
    run = make_run(status="failed")
    close(run, "failure", findings="The rates were too high.")
    assert (run.status, run.overall_verdict, run.quality_score) == ("failed", "failure", None)


def test_values_outside_the_documented_sets_do_not_stand_in_the_way():
    run = make_run(max_train_epochs=None)
    TrainingRun.objects.filter(pk=run.pk).update(model_type="other", platform="somewhere else", quality_score=3)
    close(run, "partial", findings="Good hair, bad eyes.", best_epoch=4)
    assert (run.quality_score, run.best_epoch) == (3, 4)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written():
    run = make_run()
    make_job(run=run)
    with pytest.raises(ActError) as refusal:
        close(run, "great", findings=" ", quality_score=11, best_epoch=3)
    for reason in ("a job is still running", "'great' is none of", "findings are missing", "11 is not", "no epoch 3"):
        assert reason in str(refusal.value)
    assert TrainingRun.objects.get(pk=run.pk).overall_verdict == "pending"


def test_the_command_closes_a_run_by_name_or_number(capsys):
    run = make_run()
    call_command("close_run", str(run.pk), "failure", findings="Photographs.", by=make_user("operator").username)
    assert f"{run} is closed as failure." in capsys.readouterr().out
    with pytest.raises(CommandError, match="needs the role operator"):
        call_command("close_run", run.run_name, "success", findings="No.", by=make_user("reviewer").username)
