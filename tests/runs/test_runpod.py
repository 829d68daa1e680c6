"""The whole way over the simulator of RunPod: controller, REST, S3, the pod's real program, a stand-in for kohya."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from runs import training
from runs.backends import rented_backend
from runs.backends.base import BackendError
from runs.backends.runpod import RunPodBackend
from runs.controller import ControlLoop
from runs.lease_moves import Patience
from runs.models import CaptionVersion, Controller, Lease, TrainingJob, TrainingRun
from tests.conftest import SHARED
from tests.factories import CONFIG, make_caption_version
from tests.simulators.runpod import Simulator

pytestmark = pytest.mark.django_db
Status = TrainingJob.Status
QUICK = Patience(
    answer=timedelta(seconds=1),
    visibility=timedelta(seconds=2),
    absence=timedelta(seconds=0.3),
    provision=timedelta(seconds=20),
    silence=timedelta(seconds=10),
    stop=timedelta(seconds=10),
    retry=timedelta(seconds=0.5),
    collect=timedelta(seconds=5),
)
TICK = 0.15


class Lab:
    """A site that rents from a simulated RunPod, on the real clock."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.control()

    def control(self) -> None:
        """A controller with connections of its own, in the place of the one before."""
        if hasattr(self, "loop"):
            self.close()
        self.backend = RunPodBackend()
        self.loop = ControlLoop(self.backend, QUICK)

    def close(self) -> None:
        self.backend.close()

    def run(self, epochs: int = 3) -> TrainingJob:
        config = CONFIG.replace("max_train_epochs = 2", f"max_train_epochs = {epochs}")
        name = f"rented {TrainingRun.objects.count()}"
        run = training.create_run(name, captions=make_caption_version(), config_text=config, base="miniature")
        return training.start(run, backend="runpod", max_hours=1.0)

    def until(self, ask: Callable[[], Any], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ask():
            assert time.monotonic() < end, self.simulator.look()
            self.loop.tick()
            time.sleep(TICK)

    def until_over(self, job: TrainingJob, seconds: float = 60) -> TrainingJob:
        def over() -> bool:
            job.refresh_from_db()
            return job.status in TrainingJob.FINAL and not Lease.objects.open().exists()

        self.until(over, seconds)
        seen = self.simulator.look()
        assert seen["pods"] == []
        assert seen["processes"] == []
        assert seen["violations"] == []
        return job

    def standin(self, **facts: Any) -> None:
        (self.simulator.volume / "standin.json").write_text(json.dumps(facts))


@pytest.fixture
def lab(tmp_path, settings, kohya) -> Iterator[Lab]:
    openapi = SHARED / "runpod" / "openapi-v2.json"
    with Simulator(tmp_path / "runpod", openapi=openapi if openapi.is_file() else None) as simulator:
        for name, value in simulator.settings.items():
            setattr(settings, name, value)
        settings.KOHYA_REPOSITORY, settings.KOHYA_COMMIT = str(kohya[0]), kohya[1]
        settings.RUNPOD_NEED_BYTES = 10**6
        there = Lab(simulator)
        rented_backend.cache_clear()
        yield there
        there.close()
        rented_backend().close()
        rented_backend.cache_clear()


def epochs_of(job: TrainingJob) -> list[int | None]:
    return list(job.run.checkpoints.order_by("epoch").values_list("epoch", flat=True))


def test_a_run_is_trained_on_a_pod_and_every_epoch_comes_home(lab) -> None:
    lab.standin(step_seconds=0.05)
    job = lab.run()
    lab.until(lambda: epochs_of(job) == [1])
    job.refresh_from_db()
    assert (job.status, job.total_steps) == (Status.RUNNING, 30)
    lab.until_over(job)
    assert (job.status, epochs_of(job)) == (Status.FINISHED, [1, 2, 3])
    assert job.losses.count() > 10
    lease = Lease.objects.get()
    assert (lease.gpu, lease.data_center) == ("NVIDIA GeForce RTX 4090", "EU-RO-1")
    assert lease.seconds["training"] > 0
    lab.until(lambda: not (lab.simulator.volume / "jobs").exists())
    spend = sum(lab.simulator.look()["spend"].values())
    assert spend <= float(lease.cost()) + 0.001


def pods(lab: Lab) -> list[dict[str, Any]]:
    return list(lab.simulator.look()["pods"])


@pytest.mark.parametrize("how", ["drop_before", "drop_after", "html", "500"])
def test_a_create_without_an_answer_makes_one_machine_in_the_end(lab, how) -> None:
    fault = {"do": "status", "status": 500} if how == "500" else {"do": how, "status": 502}
    lab.simulator.fail({"method": "POST", "path": "/pods$", "nth": 1, **fault})
    job = lab.until_over(lab.run(epochs=1))
    assert (job.status, epochs_of(job)) == (Status.FINISHED, [1])
    assert lab.simulator.look()["n_created"] == 1


@pytest.mark.parametrize("how", ["vanish", "exit", "kill_process"])
def test_a_pod_that_is_lost_costs_no_epoch(lab, how) -> None:
    lab.standin(step_seconds=0.05)
    job = lab.run()
    lab.until(lambda: epochs_of(job) == [1])
    lab.simulator.do(how, pods(lab)[0]["id"])
    lab.until_over(job)
    assert (job.status, epochs_of(job)) == (Status.FINISHED, [1, 2, 3])
    assert lab.simulator.look()["n_created"] == (1 if how == "kill_process" else 2)


def test_cancelling_saves_what_there_is(lab) -> None:
    lab.standin(step_seconds=0.1)
    job = lab.run()
    lab.until(lambda: epochs_of(job) == [1])
    training.cancel(job.run)
    lab.until_over(job)
    assert (job.status, epochs_of(job)[0]) == (Status.CANCELLED, 1)
    again = training.start(job.run, backend="runpod", max_hours=1.0)
    lab.standin()
    lab.until_over(again)
    assert (again.status, epochs_of(again)) == (Status.FINISHED, [1, 2, 3])


def test_no_capacity_takes_the_next_gpu_and_none_at_all_waits(lab) -> None:
    lab.simulator.set(stock={"EU-RO-1": {}, "US-KS-2": {"NVIDIA RTX A5000": "HIGH"}, "EU-CZ-1": {}})
    job = lab.run(epochs=1)
    lab.loop.tick()
    lab.loop.tick()
    job.refresh_from_db()
    assert "None of RUNPOD_GPUS is free in EU-RO-1, where the volumes are; there are some in US-KS-2" in job.message
    lab.loop.let_go()
    lab.control()
    lab.simulator.set(stock={"EU-RO-1": {"NVIDIA RTX A5000": "LOW"}, "US-KS-2": {}, "EU-CZ-1": {}})
    lab.until_over(job)
    assert (job.status, Lease.objects.get().gpu) == (Status.FINISHED, "NVIDIA RTX A5000")


def test_an_account_at_zero_is_said_and_nothing_is_left_running(lab) -> None:
    lab.standin(step_seconds=0.2)
    job = lab.run()
    lab.until(lambda: epochs_of(job) == [1])
    lab.simulator.set(balance=False)
    lab.until_over(job)
    assert job.status == Status.FAILED
    assert "no balance left: top it up" in job.message
    assert epochs_of(job)[0] == 1


def test_a_failing_training_says_why(lab) -> None:
    lab.standin(die_at=[5, 5, 5], say="RuntimeError: CUDA out of memory. Tried to allocate 2 GiB")
    job = lab.until_over(lab.run())
    assert (job.status, "lower train_batch_size" in job.message) == (Status.FAILED, True)


def test_a_full_volume_says_so(lab) -> None:
    (lab.simulator.volume / ".quota").write_text("3000")
    job = lab.run()
    lab.loop.tick()
    lab.loop.tick()
    job.refresh_from_db()
    assert "is full: enlarge it" in job.message
    (lab.simulator.volume / ".quota").unlink()
    lab.until_over(job)
    assert job.status == Status.FINISHED


def test_pods_of_others_are_left_alone_and_ours_without_a_lease_are_not(lab) -> None:
    job = lab.until_over(lab.run(epochs=1))
    lease = Lease.objects.get()
    lab.simulator.set(provision=600)
    place = {"gpu": lease.gpu, "data_center": lease.data_center, "volume": lease.volume}
    for name in ("somebody-elses", f"{lease.name[:-1]}7"):
        lab.backend.submit(Lease(name=name, job=job, attempt=7, price=0, deadline_at=timezone.now(), **place))
    assert len(pods(lab)) == 2
    lab.until(lambda: [pod["name"] for pod in pods(lab)] == ["somebody-elses"])
    assert [each["name"] for each in Controller.objects.get().foreign] == ["somebody-elses"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RUNPOD_API_KEY", "", "RUNPOD_API_KEY is not set"),
        ("RUNPOD_API_KEY", "wrong", "does not accept RUNPOD_API_KEY: make a restricted key"),
        ("RUNPOD_S3_SECRET_KEY", "", "RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY are not set"),
        ("RUNPOD_S3_SECRET_KEY", "wrong", "make an S3 API key in its console"),
        ("RUNPOD_S3_ACCESS_KEY", "wrong", "make an S3 API key in its console"),
        ("RUNPOD_VOLUMES", [], "RUNPOD_VOLUMES names no volume"),
        (
            "RUNPOD_VOLUMES",
            [{"id": "nothing", "data_center": "EU-RO-1"}],
            "which is no network volume in that data centre",
        ),
        ("RUNPOD_GPUS", ["NVIDIA GeForce RTX 4091"], "did you mean NVIDIA GeForce RTX 4090"),
    ],
)
def test_what_the_settings_lack_is_named_and_nothing_is_rented(lab, settings, name, value, said) -> None:
    setattr(settings, name, value)
    lab.control()
    job = lab.run()
    lab.loop.tick()
    lab.loop.tick()
    job.refresh_from_db()
    assert said in job.message
    assert job.status == Status.QUEUED
    assert lab.simulator.look()["n_created"] == 0
    assert "wrong" not in job.message


def test_a_retired_interface_says_which_one_this_speaks(lab, settings) -> None:
    settings.RUNPOD_API_URL = settings.RUNPOD_API_URL.replace("/v2", "/v1")
    lab.control()
    with pytest.raises(BackendError, match="punklab speaks REST version 2"):
        lab.backend.observe()


def test_the_key_never_travels_in_the_clear_nor_to_the_pod(lab, settings) -> None:
    job = lab.run(epochs=1)
    lab.until(lambda: pods(lab))
    sent = json.dumps(pods(lab))
    for secret in (settings.RUNPOD_API_KEY, settings.RUNPOD_S3_SECRET_KEY, settings.SECRET_KEY):
        assert secret not in sent
    lab.until_over(job)
    settings.RUNPOD_API_URL = "http://api.runpod.io/v2"
    lab.control()
    with pytest.raises(BackendError, match="is not https"):
        lab.backend.observe()


def test_the_commands_quote_rent_and_list(lab, capsys) -> None:
    job = lab.run(epochs=1)
    lab.until_over(job)
    version = job.run.caption_version
    run = training.create_run(
        "another", captions=CaptionVersion.objects.get(version_name=version), config_text=CONFIG, base="miniature"
    )
    said = call_command("train", "another", backend="runpod", max_hours=2.0)
    assert "NVIDIA GeForce RTX 4090 in EU-RO-1 at 0.69 USD an hour" in said
    assert "at most 1.38 USD" in said
    assert "Rent it with --yes." in said
    assert not run.jobs.exists()
    assert "is queued as job" in call_command("train", "another", backend="runpod", max_hours=2.0, yes=True)
    training.cancel(run)
    call_command("leases")
    listed = capsys.readouterr().out
    assert f"{Lease.objects.get(job=job).name}  released" in listed
    assert "USD today" in listed
