"""The controller as people run it: a process of its own, killed and started again; and the commands around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from runs import training
from runs.backends import rented_backend
from runs.models import Controller, Lease, TrainingJob
from tests.factories import CONFIG, make_caption_version
from tests.simulators.kohya import make_repository
from tests.simulators.kohya.shapes import miniature_lora
from tests.simulators.runpod import Simulator

Status = TrainingJob.Status
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def simulator(tmp_path, monkeypatch, settings) -> Iterator[Simulator]:
    repository = tmp_path / "kohya"
    commit = make_repository(repository, *miniature_lora())
    with Simulator(tmp_path / "runpod") as there:
        more = {"KOHYA_REPOSITORY": str(repository), "KOHYA_COMMIT": commit, "RUNPOD_NEED_BYTES": "1000000"}
        for name, value in (there.environment | more).items():
            monkeypatch.setenv(name, value)
        for name, value in (there.settings | more).items():
            setattr(settings, name, value)
        settings.RUNPOD_NEED_BYTES = 10**6
        rented_backend.cache_clear()
        yield there
        rented_backend().close()
        rented_backend.cache_clear()


def start_controller() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "manage.py", "controller", "--every", "0.2"], cwd=ROOT)


def until(ask: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, list(TrainingJob.objects.values("status", "message"))
        time.sleep(0.1)
    return found


def new_run(name: str = "rented", epochs: int = 3) -> Any:
    config = CONFIG.replace("max_train_epochs = 2", f"max_train_epochs = {epochs}")
    return training.create_run(name, captions=make_caption_version(), config_text=config, base="miniature")


def test_a_controller_that_is_killed_is_followed_by_another(processes, simulator) -> None:
    (simulator.volume / "standin.json").write_text(json.dumps({"step_seconds": 0.2}))
    run = new_run()
    job = training.start(run, backend="runpod", max_hours=1.0)
    controller = start_controller()
    try:
        until(lambda: run.checkpoints.exists())
        controller.send_signal(signal.SIGKILL)
        controller.wait()
        Controller.objects.update(held_until=None)  # as its 90 seconds pass
        controller = start_controller()
        until(lambda: TrainingJob.objects.get().status in TrainingJob.FINAL and not Lease.objects.open().exists())
        controller.terminate()
        assert controller.wait(20) == 0
    finally:
        controller.kill()
        controller.wait()
    job.refresh_from_db()
    assert (job.status, run.checkpoints.count(), Lease.objects.count()) == (Status.FINISHED, 3, 1)
    assert Controller.objects.get().held_until is None
    assert simulator.look()["processes"] == []


@pytest.mark.django_db
def test_reconcile_takes_one_step_of_each_and_keeps_out_of_a_controllers_way(simulator) -> None:
    training.start(new_run(), backend="runpod", max_hours=1.0)
    said = call_command("reconcile")
    assert "wants a machine" in said
    assert "was rented" in said
    until(lambda: "3 epochs" in call_command("reconcile"))
    Controller.objects.update(holder="another", held_until="2126-01-01T00:00Z")
    assert "nothing was done" in call_command("reconcile")


@pytest.mark.django_db
def test_the_controller_needs_a_key(settings) -> None:
    settings.RUNPOD_API_KEY = ""
    with pytest.raises(CommandError, match="RUNPOD_API_KEY is not set"):
        call_command("controller")


@pytest.mark.django_db
def test_a_package_is_the_same_bytes_for_the_same_run(tmp_path) -> None:
    new_run("by hand")
    for name in ("a.zip", "b.zip"):
        call_command("package_run", "by hand", str(tmp_path / name))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert not TrainingJob.objects.exists()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        config = archive.read("training_config.toml").decode()
        manifest = json.loads(archive.read("manifest.json"))
    assert "train_data/1_by_hand/lady_001.png" in names
    assert {file["name"] for file in manifest["files"]} == set(names) - {"manifest.json"}
    assert 'caption_extension = ".txt"' in config
    assert str(django_settings.STORAGE_DIR) not in config


@pytest.mark.django_db
def test_blocking_captions_are_refused_before_any_money(tmp_path) -> None:
    run = new_run("later spoilt")
    run.caption_version = make_caption_version(caption="a punk").version_name
    run.save()
    with pytest.raises(CommandError, match="no_trigger_phrase"):
        call_command("package_run", "later spoilt", str(tmp_path / "a.zip"))
    with pytest.raises(training.ActError, match="is not sent to a rented machine"):
        training.start(run, backend="runpod")
    assert not TrainingJob.objects.exists()


def test_a_simulator_is_started_by_a_command_and_ends_with_it(tmp_path) -> None:
    env = os.environ | {"STATE_DIR": str(tmp_path), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    command = subprocess.Popen(
        [sys.executable, "manage.py", "simulate_runpod"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert command.stdout is not None
    told = [command.stdout.readline() for _ in range(9)]
    os.killpg(command.pid, signal.SIGINT)
    command.stdout.close()
    assert command.wait(30) == 0
    assert told[0].startswith("export RUNPOD_API_URL=http://127.0.0.1:")
    assert any(line.startswith("export KOHYA_COMMIT=") for line in told)
