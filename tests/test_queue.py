"""The queue with a real worker on each broker, and the system check that holds its numbers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from punklab.checks import queue_numbers

ROOT = Path(__file__).resolve().parents[1]
ENQUEUE = """
from django.conf import settings
from django_q.tasks import async_task
from evaluation.tasks import sweep
from django.db import transaction
with transaction.atomic():
    async_task(sweep, cluster=settings.TESTS_CLUSTER, task_name="rolled back")
    transaction.set_rollback(True)
with transaction.atomic():
    async_task(sweep, cluster=settings.TESTS_CLUSTER, task_name="on its own cluster")
"""
DONE = "SELECT name FROM django_q_task WHERE success"


@pytest.fixture
def redis_url(tmp_path):
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have redis-server: .ci/run installs it")
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    ) as server:
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


@pytest.mark.parametrize("broker", ["the database", "Redis"])
def test_a_cluster_of_one_worker_does_the_tasks_of_its_own_queue(migrated, broker, request, tmp_path):
    env = os.environ | {"DATABASE_URL": migrated, "STORAGE_DIR": str(tmp_path / "files")}
    env["REDIS_URL"] = request.getfixturevalue("redis_url") if broker == "Redis" else ""
    subprocess.run([sys.executable, "manage.py", "shell", "--no-imports", "-c", ENQUEUE], cwd=ROOT, env=env, check=True)
    with (tmp_path / "cluster.log").open("w") as log, psycopg.connect(migrated, autocommit=True) as connection:
        clusters = [
            subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=env | name, stdout=log, stderr=log
            )
            for name in ({"Q_CLUSTER_NAME": "visitors"}, {"Q_CLUSTER_NAME": "tests"})
        ]
        try:
            deadline = time.monotonic() + 30
            while (done := connection.execute(DONE).fetchall()) != [("on its own cluster",)]:
                assert time.monotonic() < deadline, f"{done} {(tmp_path / 'cluster.log').read_text()}"
                time.sleep(0.1)
        finally:
            for cluster in clusters:
                cluster.terminate()
            for cluster in clusters:
                cluster.wait(30)
    said = (tmp_path / "cluster.log").read_text()
    assert "tests" in said


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timeout": 700}, "punklab.E001"),
        ({"timeout": None}, "punklab.E001"),
        ({"workers": 4}, "punklab.E002"),
        ({"max_attempts": 0}, "punklab.E002"),
        ({"ack_failures": False}, "punklab.E002"),
        ({"ALT_CLUSTERS": {"visitors": {}}}, "punklab.E003"),
    ],
)
def test_a_queue_with_other_numbers_does_not_pass_the_system_check(settings, change, code):
    assert queue_numbers() == []
    settings.Q_CLUSTER = settings.Q_CLUSTER | change
    assert [message.id for message in queue_numbers()] == [code]
