from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import time_machine
from django.db import connection

from runs.backends import backend_of
from runs.models import TrainingJob
from tests.runs.pods import Volume
from tests.runs.rented import Lab
from tests.simulators.kohya import make_repository
from tests.simulators.kohya.shapes import miniature_lora


@pytest.fixture
def processes(transactional_db: None, storage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets processes that a test starts see the test's database and files; ends those that are left."""
    values = connection.get_connection_params()
    host, port = values.get("host", ""), values.get("port", "")
    url = f"postgresql://{values.get('user', '')}:{values.get('password', '')}@/{values['dbname']}?host={host}"
    monkeypatch.setenv("DATABASE_URL", url + (f"&port={port}" if port else ""))
    monkeypatch.setenv("STORAGE_DIR", str(storage))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    yield
    for child in psutil.Process(os.getpid()).children():
        with suppress(psutil.Error):  # one that has ended by itself
            if "run_training" in child.cmdline():
                child.kill()
                child.wait()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Calls `ask` until it answers truly; fails with the job's log when it does not."""

    def wait(ask: Callable[[], Any], *, job: TrainingJob, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := ask():
                return answer
            time.sleep(0.05)
        log = job.path / "training.log"
        raise AssertionError(log.read_text()[-3000:] if log.exists() else "no process was started")

    return wait


@pytest.fixture
def ended(eventually: Callable[..., Any]) -> Callable[[TrainingJob], TrainingJob]:
    """Waits until a job has ended and its process is gone; returns the row as it is then."""

    def wait(job: TrainingJob) -> TrainingJob:
        def over() -> bool:
            job.refresh_from_db()
            return job.status in TrainingJob.FINAL and not backend_of(job).is_alive(job)

        eventually(over, job=job)
        return job

    return wait


@pytest.fixture
def lab(db: None) -> Iterator[Lab]:
    """A controller and a provider of rented machines on a clock of the test's own."""
    with time_machine.travel(datetime(2026, 11, 2, 9, tzinfo=UTC), tick=False) as clock:
        yield Lab(clock)


@pytest.fixture(scope="session")
def kohya(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A stand-in for kohya's repository, and its commit."""
    folder = tmp_path_factory.mktemp("kohya") / "sd-scripts"
    return folder, make_repository(folder, *miniature_lora())


@pytest.fixture
def volume(tmp_path: Path, kohya: tuple[Path, str]) -> Iterator[Callable[..., Volume]]:
    """Makes a network volume in a folder; its pods end with the test."""
    made = []

    def make(**facts: Any) -> Volume:
        made.append(Volume(tmp_path / "volume", *kohya, **facts))
        return made[-1]

    yield make
    for each in made:
        each.close()
