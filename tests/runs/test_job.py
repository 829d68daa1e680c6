from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from punklab.diffusion.training_report import Progress
from runs import tasks
from runs.backends import backend_of
from runs.backends.local import LOCK, LOG, holding
from runs.backends.process import JobProcess
from runs.models import Caption, LossPoint, TrainingJob, TrainingRun
from runs.package import write_package
from runs.training import cancel, create_run, new_job
from tests.factories import CONFIG, make_caption_version, make_job, make_run

pytestmark = pytest.mark.pooled

Status = TrainingJob.Status


def planned(epochs: int = 2, repeats: int = 1, name: str = "neon") -> TrainingRun:
    """Four pictures in batches of two: two steps an epoch for each repeat."""
    config = CONFIG.replace("max_train_epochs = 2", f"max_train_epochs = {epochs}")
    return create_run(name, captions=make_caption_version(), config_text=config, repeats=repeats)


def stepped(job: TrainingJob) -> Callable[[], bool]:
    return lambda: TrainingJob.objects.filter(pk=job.pk, step__gte=1).exists()


class Meanwhile(threading.Thread):
    """Does something while the main thread trains; gives its own connection back."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._act = act

    def run(self) -> None:
        try:
            self._act()
        finally:
            connection.close()

    def __enter__(self) -> Meanwhile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_a_job_trains_registers_each_epoch_and_fills_the_runs_columns():
    run = planned()
    job = new_job(run)
    sentence = JobProcess(job).carry_out()
    job.refresh_from_db()
    run.refresh_from_db()
    assert (job.status, job.step, job.total_steps, job.pid) == (Status.FINISHED, 4, 4, None)
    assert LossPoint.objects.filter(job=job).last().step == 4
    assert "4 steps" in sentence
    assert job.message == sentence
    assert [(each.epoch, each.source) for each in run.checkpoints.all()] == [(1, "trained"), (2, "trained")]
    assert all(each.path and each.path.is_file() for each in run.checkpoints.all())
    assert (run.status, run.overall_verdict, run.total_steps) == ("completed", "pending", 4)
    assert run.checkpoint_file_size_mb == 1
    assert run.training_duration_hours is not None
    assert run.gpu_type
    assert run.platform
    assert run.platform.startswith("local")


@pytest.mark.diffusion
def test_a_training_killed_at_any_moment_goes_on_to_the_same_weights(processes, eventually, ended):
    whole, torn = new_job(planned(3, name="whole")), new_job(planned(3, name="torn"))
    for job in (whole, torn):
        assert tasks.launch(job.pk).endswith("was started.")
    eventually(stepped(torn), job=torn)
    time.sleep(os.getpid() % 7 / 10)
    os.kill(int((torn.path / LOCK).read_text()), signal.SIGKILL)
    eventually(lambda: not backend_of(torn).is_alive(torn), job=torn)
    tasks.reconcile()
    weights = [
        [each.header["weights_sha256"] for each in ended(job).run.checkpoints.order_by("epoch")]
        for job in (whole, torn)
    ]
    assert (whole.status, torn.status) == (Status.FINISHED, Status.FINISHED)
    assert len(weights[0]) == 3
    assert weights[0] == weights[1]


@pytest.mark.diffusion
def test_stop_training_pauses_every_process_and_a_paused_job_is_cancelled_at_once(processes, eventually, capsys):
    job = new_job(planned(2, repeats=500))
    tasks.launch(job.pk)
    eventually(stepped(job), job=job)
    call_command("stop_training", wait=60)
    job.refresh_from_db()
    assert "1 trainings were stopped" in capsys.readouterr().out
    assert (job.status, job.attempts, job.pid) == (Status.QUEUED, 0, None)
    assert job.message.startswith("Stopped at step")
    assert cancel(job.run).status == Status.CANCELLED
    assert new_job(job.run).folder == job.folder


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_a_job_that_is_cancelled_while_it_trains_ends_and_keeps_its_epochs(eventually):
    job = new_job(planned(200))
    process = JobProcess(job)
    process.EVERY = 0.05

    def cancelled() -> None:
        eventually(lambda: job.run.checkpoints.exists(), job=job)
        TrainingJob.objects.update(cancel_requested_at=timezone.now())

    with Meanwhile(cancelled):
        assert process.carry_out().startswith("Cancelled at step")
    job.refresh_from_db()
    assert (job.status, job.run.status) == (Status.CANCELLED, "cancelled")
    assert 1 <= job.run.checkpoints.count() < 200


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_train_here_needs_no_queue(capsys):
    run = planned(1)
    call_command("train", run.run_name, here=True)
    assert f"{run}: Finished, 1 epochs. 2 steps" in capsys.readouterr().out
    assert not OrmQ.objects.exists()


def test_train_wait_tells_how_the_job_ended(processes):
    job = make_job(run=make_run(caption_version="lost_v1"))
    tasks.launch(job.pk)
    with pytest.raises(CommandError, match="lost_v1"):
        call_command("train", job.run.run_name, wait=True)


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_a_stopped_job_is_queued_again_and_ends_where_it_would_have(eventually):
    job = new_job(planned(2, repeats=4))
    process = JobProcess(job)
    process.EVERY = 0.05

    def paused() -> None:
        eventually(stepped(job), job=job)
        process.stop()

    with Meanwhile(paused):
        sentence = process.carry_out()
    job.refresh_from_db()
    assert "goes on from there" in sentence
    assert (job.status, job.attempts, job.pid) == (Status.QUEUED, 0, None)
    assert 0 < job.step < 16
    JobProcess(job).carry_out()
    job.refresh_from_db()
    assert (job.status, job.step) == (Status.FINISHED, 16)
    assert job.run.checkpoints.count() == 2


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_and_comes_back_does_not_end_the_training(eventually, caplog):
    job = new_job(planned(3, repeats=3))
    process = JobProcess(job)
    process.EVERY = 0.05
    values = connection.get_connection_params()
    there = {key: values[key] for key in ("host", "port", "user", "password", "dbname") if values.get(key)}

    def hang_up() -> None:
        eventually(stepped(job), job=job)
        with psycopg.connect(**there, autocommit=True) as admin:
            for _ in range(3):
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                time.sleep(0.2)

    with Meanwhile(hang_up):
        process.carry_out()
    job.refresh_from_db()
    assert "the database is away" in caplog.text
    assert job.status == Status.FINISHED
    assert [each.epoch for each in job.run.checkpoints.order_by("epoch")] == [1, 2, 3]


@pytest.mark.diffusion
@pytest.mark.django_db(transaction=True)
def test_of_two_workers_on_one_row_one_trains():
    job = new_job(planned())
    said: list[str] = []
    with Meanwhile(lambda: said.append(JobProcess(TrainingJob.objects.get(pk=job.pk)).carry_out())):
        said.append(JobProcess(TrainingJob.objects.get(pk=job.pk)).carry_out())
    assert sorted(sentence.startswith("4 steps") for sentence in said) == [False, True]
    assert job.run.checkpoints.count() == 2


def test_a_job_that_was_never_launched_is_started_and_fails_with_the_reason(processes, ended):
    job = make_job(run=make_run(caption_version="lost_v1"))
    assert "was started" in tasks.reconcile()
    ended(job)
    assert job.status == Status.FAILED
    assert "import them with `manage.py import_captions DIR --name lost_v1`" in job.message
    assert job.run.status == "failed"
    assert "lost_v1" in (job.path / LOG).read_text()
    assert tasks.launch(job.pk).endswith("nothing to start.")
    assert tasks.reconcile() == "Nothing to do."


def left_behind(**overrides: Any) -> TrainingJob:
    """A running job whose process is gone."""
    job = make_job(status=Status.RUNNING, **overrides)
    with holding(job):
        pass
    return job


@pytest.mark.django_db
def test_reconcile_leaves_a_job_alone_whose_process_lives():
    job = make_job(status=Status.RUNNING, attempts=TrainingJob.ATTEMPTS)
    with holding(job):
        assert tasks.reconcile() == "Nothing to do."
    job.refresh_from_db()
    assert job.status == Status.RUNNING


@pytest.mark.django_db
def test_a_folder_that_cannot_be_written_fails_its_job_and_no_other(storage):
    job, other = make_job(folder="training/a"), left_behind(attempts=TrainingJob.ATTEMPTS)
    (storage / "training").mkdir(exist_ok=True)
    (storage / "training" / "a").write_text("a file where the folder should be")
    assert "File exists; mend that" in tasks.reconcile()
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.status, job.run.status) == (Status.FAILED, "failed")
    assert other.status == Status.ERRORED


@pytest.mark.django_db
def test_a_process_that_cannot_write_its_folder_says_so():
    job = make_job()
    job.path.parent.mkdir(parents=True)
    job.path.write_text("a file where the folder should be")
    assert "mend that and start the run again" in JobProcess(job).carry_out()
    job.refresh_from_db()
    assert job.status == Status.FAILED


@pytest.mark.django_db
def test_reconcile_gives_up_on_a_job_whose_process_ended_too_often():
    job = left_behind(attempts=TrainingJob.ATTEMPTS)
    tasks.reconcile()
    job.refresh_from_db()
    assert job.status == Status.ERRORED
    assert LOG in job.message


@pytest.mark.django_db
def test_a_cancelled_job_whose_process_does_not_end_is_ended_by_force():
    job = make_job(status=Status.RUNNING, cancel_requested_at=timezone.now() - tasks.PATIENCE)
    held = "import fcntl, os, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); f.write(str(os.getpid()));"
    job.path.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", held + "f.flush(); print(flush=True); time.sleep(60)", job.path / LOCK],
        stdout=subprocess.PIPE,
    ) as stubborn:
        assert stubborn.stdout
        stubborn.stdout.readline()
        assert "ended by force" in tasks.reconcile()
    assert stubborn.returncode == -signal.SIGKILL
    tasks.reconcile()
    job.refresh_from_db()
    assert job.status == Status.CANCELLED


@pytest.mark.django_db
def test_reconcile_ends_a_cancelled_job_without_a_process():
    job = left_behind()
    cancel(job.run)
    job.refresh_from_db()
    assert job.status == Status.CANCELLED
    assert TrainingRun.objects.get(pk=job.run_id).status == "cancelled"


@pytest.mark.django_db
def test_a_job_that_runs_on_another_machine_is_left_until_it_is_silent():
    job = make_job(status=Status.RUNNING)
    TrainingJob.objects.filter(pk=job.pk).update(heartbeat_at=job.queued_at)
    assert tasks.reconcile() == "Nothing to do."
    job.refresh_from_db()
    TrainingJob.objects.filter(pk=job.pk).update(heartbeat_at=job.queued_at - tasks.SILENCE * 2)
    assert tasks.is_lost(job)


@pytest.mark.django_db
def test_a_package_keeps_the_captions_it_began_with():
    job = new_job(planned())
    package = write_package(job)
    written = {path.name: path.read_bytes() for path in package.train_data_dir.rglob("*.txt")}
    assert len(written) == 4
    Caption.objects.filter(version__version_name=job.run.caption_version).update(text="changed meanwhile")
    write_package(job)
    assert {path.name: path.read_bytes() for path in package.train_data_dir.rglob("*.txt")} == written


@pytest.mark.django_db
def test_a_loss_curve_keeps_a_few_hundred_points_of_a_long_training_and_its_last_step():
    job = make_job()
    process = JobProcess(job)
    total = 3 * LossPoint.MOST
    for step in [*range(1, total + 1), 1, total]:  # and from the start again, as after a restart
        process._keep_loss(
            Progress(
                step=step,
                total_steps=total,
                epoch=1,
                epochs=1,
                loss=1 / step,
                learning_rate=0.1,
                eta_seconds=0.0,
                images_per_second=1.0,
            )
        )
    kept = list(LossPoint.objects.filter(job=job).values_list("step", "loss"))
    assert len(kept) == LossPoint.MOST
    assert kept[0] == (3, 1 / 3)
    assert kept[-1] == (total, 1 / total)
