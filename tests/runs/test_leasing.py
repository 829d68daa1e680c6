"""The controller against a provider in memory, on a clock of the test's own."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from runs import training
from runs.controller import ControlLoop
from runs.lease_names import name_of, prefix
from runs.models import Controller, Lease, TrainingJob
from runs.spending import spent
from tests.runs.rented import PRICE, TICK, rented_job

pytestmark = pytest.mark.django_db
Status, State = TrainingJob.Status, Lease.State


def epochs_of(job: TrainingJob) -> list[int | None]:
    return list(job.run.checkpoints.order_by("epoch").values_list("epoch", flat=True))


def is_running(job: TrainingJob) -> bool:
    job.refresh_from_db()
    return job.status == Status.RUNNING


def test_a_job_is_trained_on_a_rented_machine_and_every_epoch_comes_home(lab) -> None:
    job = rented_job()
    lab.until(lambda: is_running(job))
    lab.until(lambda: epochs_of(job) == [1])
    assert TrainingJob.objects.get().status == Status.RUNNING
    lab.until_over(job)
    assert job.status == Status.FINISHED
    assert epochs_of(job) == [1, 2, 3]
    job.run.refresh_from_db()
    assert (job.run.status, job.run.platform, job.run.gpu_type) == ("completed", "RunPod", "RTX 4090")
    assert (job.step, job.total_steps, job.losses.count()) == (30, 30, 3)
    lease = Lease.objects.get()
    assert (lease.state, lease.gpu, lease.machine) == (State.RELEASED, "RTX 4090", "pod1")
    assert job.message == "3 epochs. 3 epochs here."
    assert abs(lease.cost() - lab.provider.spent()) < Decimal("0.02")
    assert lab.provider.calls["submit"] == 1


def test_its_folder_on_the_volume_is_deleted_when_all_is_here(lab) -> None:
    job = lab.until_over(rented_job())
    lab.until(lambda: not lab.provider.folders)
    assert Lease.objects.get().emptied_at
    assert epochs_of(job) == [1, 2, 3]


def test_what_a_cancelled_job_left_is_kept_for_a_week(lab) -> None:
    job = rented_job()
    lab.until(lambda: epochs_of(job) == [1])
    training.cancel(job.run)
    lab.until_over(job)
    lab.loop.tick()
    assert lab.provider.folders
    lab.pass_(timedelta(days=8))
    lab.loop.tick()
    assert not lab.provider.folders


@pytest.mark.parametrize("moment", ["queued", "starting", "running"])
def test_cancelling_works_at_every_stage(lab, moment) -> None:
    job = rented_job()
    if moment == "starting":
        lab.until(lambda: bool(lab.provider.live()))
    elif moment == "running":
        lab.until(lambda: epochs_of(job) == [1])
    training.cancel(job.run)
    lab.until_over(job)
    assert job.status == Status.CANCELLED
    assert epochs_of(job) == ([1] if moment == "running" else [])
    assert len(lab.provider.pods) == (0 if moment == "queued" else 1)
    job.run.refresh_from_db()
    assert job.run.status == "cancelled"


def test_a_program_that_does_not_end_when_asked_is_ended_and_its_files_come_home(lab) -> None:
    job = rented_job()
    lab.until(lambda: epochs_of(job) == [1])
    pod = lab.provider.live()[0]
    pod.dies_at, pod.death = timezone.now(), "silent"
    training.cancel(job.run)
    lab.until_over(job)
    assert (job.status, epochs_of(job)) == (Status.CANCELLED, [1])


@pytest.mark.parametrize("answer", ["made-unheard", "twice"])
def test_a_machine_whose_answer_was_lost_is_found_by_its_name(lab, answer) -> None:
    job = rented_job()
    lab.provider.answers = [answer]
    lab.until_over(job)
    assert (job.status, Lease.objects.count(), lab.provider.calls["submit"]) == (Status.FINISHED, 1, 1)


def test_a_request_that_was_lost_is_made_again_under_another_name_when_that_is_sure(lab) -> None:
    job = rented_job()
    lab.provider.answers = ["lost"]
    lab.loop.tick()
    lab.loop.tick()
    lab.pass_(timedelta(minutes=4))
    lab.loop.tick()
    assert lab.provider.calls["submit"] == 1
    lab.until_over(job)
    assert job.status == Status.FINISHED
    first, second = Lease.objects.order_by("attempt")
    assert (first.machine, first.cost(), second.machine) == ("", Decimal(0), "pod1")
    assert first.name != second.name


def test_no_capacity_is_waiting_over_every_offer(lab) -> None:
    job = rented_job()
    lab.provider.answers = ["none", "none"]
    for _ in range(2):
        lab.loop.tick()
    assert lab.provider.calls["submit"] == 2
    job.refresh_from_db()
    assert (job.status, "No machine is free" in job.message) == (Status.QUEUED, True)
    lab.until_over(job)
    assert (job.status, Lease.objects.get().gpu) == (Status.FINISHED, "RTX 4090")


def test_the_next_offer_is_taken_where_the_first_has_no_capacity(lab) -> None:
    job = rented_job()
    lab.provider.answers = ["none"]
    lab.until_over(job)
    assert Lease.objects.get().gpu == "RTX A5000"


def test_a_refusal_ends_the_job_with_its_reason(lab) -> None:
    job = rented_job()
    lab.provider.answers = ["refused"]
    lab.until_over(job)
    assert (job.status, job.message) == (Status.FAILED, "The account is empty.")


@pytest.mark.parametrize("death", ["vanish", "ended", "silent"])
def test_a_lost_machine_is_replaced_and_the_training_goes_on(lab, death) -> None:
    job = rented_job()
    lab.until(lambda: epochs_of(job) == [1])
    pod = lab.provider.live()[0]
    pod.dies_at, pod.death = timezone.now(), death
    lab.until_over(job)
    assert (job.status, epochs_of(job)) == (Status.FINISHED, [1, 2, 3])
    assert [lease.attempt for lease in Lease.objects.order_by("attempt")] == [1, 2]


def test_three_lost_machines_are_enough(lab) -> None:
    job = rented_job(epochs=9)
    lab.provider.BOOT = 10**6
    lab.until_over(job)
    assert job.status == Status.ERRORED
    assert "3 machines in turn did not finish it. The last: The machine gave no sign of life" in job.message
    assert Lease.objects.count() == 3


def test_a_machine_that_ended_its_work_unseen_is_not_rented_again(lab) -> None:
    job = rented_job(epochs=1)
    lab.until(lambda: is_running(job))
    lab.pass_(timedelta(hours=1))
    lab.until_over(job)
    assert (job.status, epochs_of(job), Lease.objects.count()) == (Status.FINISHED, [1], 1)


def test_a_machine_that_does_not_end_itself_is_given_back(lab) -> None:
    job = rented_job(epochs=1)
    lab.provider.ends_itself = False
    lab.until_over(job)
    assert (job.status, lab.provider.live()) == (Status.FINISHED, [])


def test_a_job_ends_at_its_hours_with_its_epochs(lab) -> None:
    job = rented_job(epochs=100)
    lab.until_over(job)
    assert job.status == Status.FAILED
    assert "Its time on rented machines was over." in job.message
    assert len(epochs_of(job)) == len(lab.provider.written_ever[next(iter(lab.provider.written_ever))])
    assert Lease.objects.get().hours() <= 2


def test_a_job_whose_worst_case_is_over_a_cap_is_refused(lab, settings) -> None:
    settings.SPEND_CAP_JOB = Decimal("1.00")
    job = rented_job()
    lab.until_over(job)
    assert job.status == Status.FAILED
    assert "2.0 hours at 0.60 USD an hour may come to 1.20 USD: over a job's cap of 1.00 USD" in job.message
    assert "Allow at most 1.7 hours" in job.message
    assert lab.provider.pods == []


def test_a_day_that_is_spent_is_waited_out(lab, settings) -> None:
    settings.SPEND_CAP_DAY = Decimal("2.00")
    first, second = rented_job(epochs=10), rented_job(epochs=10)
    lab.until_over(first)
    second.refresh_from_db()
    if second.status == Status.QUEUED:
        assert "of the day's cap of 2.00 USD are spent" in second.message
    assert spent(timezone.now()).day <= Decimal("2.00")
    lab.until_over(second)
    assert {first.status, second.status} == {Status.FINISHED}


def test_a_cap_that_is_lowered_meanwhile_ends_the_training_with_its_epochs(lab, settings) -> None:
    job = rented_job(epochs=20)
    lab.until(lambda: len(epochs_of(job)) == 2)
    settings.SPEND_CAP_JOB = Decimal("0.15")
    lab.until_over(job)
    assert job.status == Status.FAILED
    assert "The cap of 0.15 USD a job ends it" in job.message
    assert len(epochs_of(job)) >= 2


def test_a_machine_of_our_name_without_a_lease_is_given_back_and_others_are_listed(lab) -> None:
    job = rented_job(epochs=1)
    lab.until_over(job)
    lease = Lease.objects.get()
    lab.provider.ends_itself = False
    for name in (lease.name, f"{prefix()}9-9-a1", "somebody-elses"):
        lab.provider._make(lease).name = name
    lab.pass_(timedelta(minutes=2))
    lab.loop.reap_at = 0
    lab.loop.tick()
    assert [pod.name for pod in lab.provider.live()] == ["somebody-elses"]
    assert [each["name"] for each in Controller.objects.get().foreign] == ["somebody-elses"]


def test_one_controller_works_and_the_other_waits(lab) -> None:
    other = ControlLoop(lab.provider)
    rented_job()
    lab.loop.tick()
    calls = dict(lab.provider.calls)
    assert other.tick() == ""
    assert lab.provider.calls == calls
    lab.loop.let_go()
    other.tick()
    assert lab.provider.calls["submit"] == 1


def test_many_jobs_cost_one_list_call_a_tick(lab, settings) -> None:
    settings.SPEND_CAP_DAY = settings.SPEND_CAP_MONTH = Decimal(1000)
    for _ in range(20):
        rented_job()
    for _ in range(3):
        lab.loop.tick()
        lab.pass_(TICK)
    assert len(lab.provider.live()) == 20
    before = lab.provider.calls["observe"]
    lab.loop.tick()
    assert lab.provider.calls["observe"] == before + 1


def test_rest_costs_the_same_few_queries_whatever_was_trained(lab, django_assert_num_queries) -> None:
    lab.until_over(rented_job(epochs=1))
    lab.until(lambda: not lab.provider.folders)
    lab.loop.reap_at = 10**12
    with django_assert_num_queries(6):
        lab.loop.tick()
    for _ in range(3):
        lab.until_over(rented_job(epochs=1))
    lab.until(lambda: not lab.provider.folders)
    with django_assert_num_queries(6):
        lab.loop.tick()


def test_an_outage_of_the_provider_is_told_and_nothing_is_lost(lab) -> None:
    job = rented_job()
    lab.until(lambda: is_running(job))
    lab.provider.down = True
    for _ in range(40):
        lab.loop.tick()
        lab.pass_(TICK)
    assert "no answer" in Controller.objects.get().trouble
    lab.provider.down = False
    lab.until_over(job)
    assert (job.status, Controller.objects.get().trouble) == (Status.FINISHED, "")
    assert Lease.objects.count() == 1


def test_names_hold_the_lab_the_job_and_the_attempt(lab) -> None:
    job = rented_job()
    site = Controller.objects.get_or_create(pk=1, defaults={"site": "0a1b2c3d"})[0].site
    number = job.folder.rsplit("/", 1)[1]
    assert name_of(job, 2) == f"lora-{site}-{job.run.pk}-{number}-a2"


def test_the_price_is_the_providers_own(lab) -> None:
    job = rented_job(epochs=1)
    lab.until(lambda: bool(lab.provider.live()))
    assert Lease.objects.get(job=job).price == PRICE


def test_a_machine_that_is_listed_late_is_waited_for(lab) -> None:
    job = rented_job(epochs=1)
    lab.provider.BOOT = 300.0
    lab.provider.hidden = timedelta(minutes=3)
    lab.until_over(job)
    assert (job.status, len(lab.provider.pods), Lease.objects.count()) == (Status.FINISHED, 1, 1)


def test_a_second_machine_of_a_name_is_given_back_though_it_fails_at_first(lab) -> None:
    job = rented_job()
    lab.provider.answers = ["twice"]
    lab.loop.tick()
    lab.provider.release_fails = 2
    for _ in range(4):
        lab.pass_(TICK)
        lab.loop.tick()
    assert len(lab.provider.live()) == 1
    lab.until_over(job)
    assert job.status == Status.FINISHED


def test_a_job_whose_step_breaks_keeps_no_other_from_its_machine(lab, monkeypatch) -> None:
    broken, sound = rented_job(), rented_job()
    submit = lab.provider.submit

    def break_one(lease):
        if lease.job_id == broken.pk:
            raise OSError("the disk is gone")
        return submit(lease)

    monkeypatch.setattr(lab.provider, "submit", break_one)
    lab.until(lambda: is_running(sound))
