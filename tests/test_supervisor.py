from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from punklab.supervisor import AlreadyRunningError, Program, Supervisor, end_leftovers, sole

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


# Says its child's number, then waits for it, as a cluster's head does for its workers.
HEAD = [
    sys.executable,
    "-c",
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(child.pid, flush=True); child.wait()",
]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pid_of(supervisor: Supervisor) -> int:
    return supervisor._running["sleeper"].pid


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_program_that_was_killed_is_started_again_and_all_end_with_the_supervisor(tmp_path, monkeypatch):
    monkeypatch.setattr(Supervisor, "RESTART_AFTER", 0.0)
    supervisor = Supervisor([Program(name="sleeper", argv=SLEEPER)], tmp_path)
    supervisor.start()
    first = pid_of(supervisor)
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.watch() == ["sleeper"])
    second = pid_of(supervisor)
    assert second != first
    assert alive(second)
    supervisor.stop()
    assert not alive(second)


def test_what_a_killed_supervisor_left_running_is_ended_by_the_next_one(tmp_path):
    program = Program(name="sleeper", argv=SLEEPER)
    killed = Supervisor([program], tmp_path)
    killed.start()
    left = killed._running["sleeper"]
    fresh = Supervisor([program], tmp_path)
    end_leftovers(tmp_path)
    fresh.start()
    try:
        left.wait(10)
        assert alive(pid_of(fresh))
    finally:
        fresh.stop()


def test_a_second_holder_is_told_who_holds_the_folder_until_that_one_is_killed(tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from pathlib import Path; from punklab.supervisor import sole\nwith sole(Path({str(tmp_path)!r})):\n"
            "    print('held', flush=True); import time; time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunningError, match=str(holder.pid)), sole(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with sole(tmp_path):
        pass


def worker_of(folder: Path) -> int:
    log = folder / "sleeper.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text().split()[-1])


def test_the_workers_of_a_killed_program_end_before_it_is_started_again(tmp_path):
    supervisor = Supervisor([Program(name="sleeper", argv=HEAD)], tmp_path)
    supervisor.start()
    try:
        worker = worker_of(tmp_path)
        os.kill(pid_of(supervisor), signal.SIGKILL)
        until(lambda: supervisor._running["sleeper"].poll() is not None)
        assert alive(worker)
        supervisor.watch()
        until(lambda: not alive(worker))
    finally:
        supervisor.stop()


def test_the_workers_of_a_program_killed_with_its_supervisor_end_with_the_leftovers(tmp_path):
    killed = Supervisor([Program(name="sleeper", argv=HEAD)], tmp_path)
    killed.start()
    worker = worker_of(tmp_path)
    killed._running["sleeper"].kill()
    killed._running["sleeper"].wait()
    end_leftovers(tmp_path)
    until(lambda: not alive(worker))
