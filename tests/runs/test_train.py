from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django_q.models import OrmQ, Schedule

from runs.models import Caption, TrainingJob, TrainingRun
from runs.training import ActError, cancel, create_run, start
from tests.factories import CONFIG, make_caption_version, make_run, make_user

pytestmark = pytest.mark.django_db
Status = TrainingJob.Status


def planned(**overrides: Any) -> TrainingRun:
    run = create_run("neon", captions=make_caption_version(), config_text=CONFIG)
    TrainingRun.objects.filter(pk=run.pk).update(**overrides)
    run.refresh_from_db()
    return run


def test_starting_queues_a_job_and_its_task_together():
    operator = make_user("operator")
    job = start(planned(), by=operator)
    assert (job.status, job.by, job.run.status) == (Status.QUEUED, operator, "in_progress")
    (task,) = OrmQ.objects.all()
    assert (task.key, task.func(), task.args()) == ("punklab", "runs.tasks.launch", (job.pk,))


def test_a_start_that_is_rolled_back_leaves_no_task():
    run = planned()
    with transaction.atomic():
        start(run)
        transaction.set_rollback(True)
    assert not TrainingJob.objects.exists()
    assert not OrmQ.objects.exists()


def test_the_jobs_config_is_kohyas_and_follows_the_row():
    job = start(planned(network_dim=16, lr_scheduler="cosine"))
    assert "network_dim = 16\n" in job.config
    assert 'lr_scheduler = "cosine"\n' in job.config
    assert 'output_name = "neon"\n' in job.config
    assert 'train_data_dir = "train_data"\n' in job.config
    assert "repeats" not in job.config


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"model_type": "SDXL", "base_model": "stabilityai/stable-diffusion-xl-base-1.0"}, "kept and shown"),
        ({"status": "completed"}, "trained already"),
        ({"overall_verdict": "failure"}, "closed as failure"),
        ({"caption_version": "lost_v1"}, "import_captions DIR --name lost_v1"),
        ({"optimizer_type": "Prodigy"}, "neither AdamW nor AdamW8bit"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(overrides: dict[str, Any], reason: str):
    run = planned(**overrides)
    with pytest.raises(ActError, match=reason):
        start(run)
    assert not OrmQ.objects.exists()


def test_a_version_without_captions_is_refused():
    run = planned()
    Caption.objects.all().delete()
    with pytest.raises(ActError, match="pictures and texts are not here"):
        start(run)


def test_a_run_has_one_unfinished_job():
    run = planned()
    start(run)
    with pytest.raises(ActError, match="has a job that has not ended"):
        start(run)


def test_a_failed_run_goes_on_in_the_folder_of_its_job_unless_its_parameters_changed():
    run = planned()
    first = start(run)
    first.end(Status.FAILED, "The disk was full.")
    second = start(run)
    assert second.folder == first.folder
    second.end(Status.FAILED, "The disk was full.")
    TrainingRun.objects.filter(pk=run.pk).update(network_dim=8)
    run.refresh_from_db()
    assert start(run).folder != first.folder


def test_cancelling_a_job_that_nobody_runs_ends_it_at_once():
    run, person = planned(), make_user("operator")
    start(run)
    job = cancel(run, by=person)
    assert (job.status, job.message) == (Status.CANCELLED, f"Cancelled by {person.username}.")
    assert TrainingRun.objects.get(pk=run.pk).status == "cancelled"
    with pytest.raises(ActError, match="no job that could be cancelled"):
        cancel(run)


def test_the_commands_start_and_cancel(capsys):
    planned()
    call_command("train", "neon", by=make_user("operator").username)
    assert "neon is queued as job" in capsys.readouterr().out
    with pytest.raises(CommandError, match="may not do this"):
        call_command("cancel_run", "neon", by=make_user("reviewer").username)
    call_command("cancel_run", "neon")
    assert "neon is cancelled." in capsys.readouterr().out
    with pytest.raises(CommandError, match="there are: neon"):
        call_command("train", "neom")


def test_past_runs_without_captions_here_are_not_trained():
    with pytest.raises(ActError, match="not here"):
        start(make_run(caption_version=None))


def test_reconcile_is_scheduled_once_for_the_rest_cluster():
    (schedule,) = Schedule.objects.filter(func="runs.tasks.reconcile")
    assert (schedule.minutes, schedule.repeats, schedule.cluster) == (1, -1, "punklab")
