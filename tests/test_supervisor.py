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
