"""The controller killed at every write, and tormented by chance, against the provider in memory. `make chaos` goes on for longer."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from django.db import connection, transaction

from runs import training
from runs.controller import ControlLoop
from runs.models import Controller, Lease, TrainingJob, TrainingRun
from tests.runs.rented import TICK, Lab, Provider, rented_job

pytestmark = pytest.mark.django_db
Status = TrainingJob.Status


class Killed(BaseException):
    """The controller's process was killed: nothing of it goes on, not even an `except Exception`."""


class Killer:
    """Kills at the n-th write to the database: before it is made, or after."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0

    def __call__(self, execute, sql, params, many, context):
        if not sql.startswith(("INSERT", "UPDATE", "DELETE", "RELEASE")):
            return execute(sql, params, many, context)
        self.seen += 1
        if self.seen == self.at and not self.after:
            raise Killed
        result = execute(sql, params, many, context)
        if self.seen == self.at:
            raise Killed
        return result


def tick_and_die(lab: Lab, killer: Killer) -> bool:
    """A tick of a controller that may be killed in it; another one takes its place then."""
    try:
        with connection.execute_wrapper(killer):
            lab.loop.tick()
    except Killed:
        lab.pass_(Controller.HELD)
        lab.loop = ControlLoop(lab.provider)
        return True
    finally:
        lab.pass_(TICK)
    return False


def end_state(lab: Lab, job: TrainingJob) -> dict[str, object]:
    job.refresh_from_db()
    assert not lab.provider.live()
    assert not Lease.objects.open().exists()
    return {
        "status": job.status,
        "run": TrainingRun.objects.get(pk=job.run_id).status,
        "epochs": dict(job.run.checkpoints.order_by("epoch").values_list("epoch", "sha256")),
        "losses": list(job.losses.values_list("step", "loss")),
        "folders": len(lab.provider.folders),
    }


def play(lab: Lab, killer: Killer) -> dict[str, object]:
    lab.provider.BOOT, lab.provider.EPOCH = 20.0, 40.0
    job = rented_job(epochs=2)
    for _ in range(200):
        tick_and_die(lab, killer)
        is_kept = Lease.objects.filter(emptied_at=None).exclude(machine="").exists()
        if is_over(job) and not Lease.objects.open().exists() and not is_kept:
            break
    return end_state(lab, job)


def test_a_controller_killed_at_any_write_changes_nothing_about_the_end(lab) -> None:
    count = Killer(0, after=False)
    with transaction.atomic():
        undisturbed = play(lab, count)
        transaction.set_rollback(True)
    assert undisturbed["status"] == Status.FINISHED
    assert count.seen > 30
    for at in range(1, count.seen + 1):
        for after in (False, True):
            lab.provider = Provider()
            lab.loop = ControlLoop(lab.provider)
            with transaction.atomic():
                assert play(lab, Killer(at, after=after)) == undisturbed, (
                    f"killed {'after' if after else 'before'} write {at}"
                )
                transaction.set_rollback(True)
            assert len(lab.provider.pods) <= 2


def chaos(lab: Lab, seed: int) -> None:
    """One job through a provider and a controller with faults drawn from `seed`, a second controller at work all the while."""
    faults = random.Random(seed)
    lab.provider = Provider(faults)
    lab.provider.ends_itself = faults.random() < 0.7
    lab.loop, second = ControlLoop(lab.provider), ControlLoop(lab.provider)
    job = rented_job(epochs=faults.randint(1, 6))
    cancel_at = faults.randint(1, 400) if faults.random() < 0.2 else 0
    for tick in range(1, 2000):
        tick_and_die(lab, Killer(faults.randint(1, 40) if faults.random() < 0.2 else 0, after=faults.random() < 0.5))
        if faults.random() < 0.3:
            second.tick()
        if tick == cancel_at and not is_over(job):
            training.cancel(job.run)
        if is_over(job) and not Lease.objects.open().exists() and not lab.provider.live():
            break
    job.refresh_from_db()
    assert job.status in TrainingJob.FINAL
    assert not Lease.objects.open().exists()
    assert not lab.provider.live()
    assert lab.provider.spent() <= Decimal("1.20")  # two hours: the job's cap
    home = dict(job.run.checkpoints.values_list("original_name", "sha256"))
    for name, sha256 in next(iter(lab.provider.written_ever.values()), {}).items():
        assert home.get(name) == sha256 or name in job.message, f"{name} is neither here nor reported lost"
    if job.status == Status.FINISHED:
        assert len(home) == job.run.epochs


def is_over(job: TrainingJob) -> bool:
    job.refresh_from_db()
    return job.status in TrainingJob.FINAL


@pytest.mark.parametrize("seed", range(25))
def test_whatever_goes_wrong_nothing_is_left_running_and_no_epoch_is_lost(lab, seed) -> None:
    chaos(lab, seed)
