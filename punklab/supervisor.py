"""The site's processes as one: started, watched, restarted, ended together."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PIDS = "lab.pids"


class AlreadyRunningError(Exception):
    """Another process holds the folder; the message says which."""


@contextmanager
def sole(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; the kernel gives it back however the process ends.

    Raises AlreadyRunningError, naming the process that holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lab.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process to keep running: a name for people, its command line, what its environment adds."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Keeps programs running until `stop()`; each writes to `<folder>/<name>.log`."""

    PATIENCE = 15.0  # seconds between asking a process to end and killing it
    RESTART_AFTER = 2.0  # seconds a program must be down before it is started again

    def __init__(self, programs: Sequence[Program], folder: Path) -> None:
        self._programs = {program.name: program for program in programs}
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._down_since: dict[str, float] = {}
        self._pids = folder / PIDS
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start every program."""
        for name in self._programs:
            self._launch(name)

    def watch(self) -> list[str]:
        """Start again what has ended; return the names of the programs that were started again just now."""
        restarted = []
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            if name not in self._down_since:
                _kill_session(process.pid)
            since = self._down_since.setdefault(name, time.monotonic())
            if time.monotonic() - since >= self.RESTART_AFTER:
                del self._down_since[name]
                self._launch(name)
                restarted.append(name)
        return restarted

    def stop(self) -> None:
        """Ask every program to end, wait, kill what does not."""
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.PATIENCE
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill_tree(psutil.Process(process.pid))
                process.wait()
            _kill_session(process.pid)
        self._pids.unlink(missing_ok=True)

    def _launch(self, name: str) -> None:
        program = self._programs[name]
        with (self._folder / f"{name}.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the supervisor alone, which then ends the others in order.
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own commands
                program.argv,
                env=os.environ | program.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        alive = [psutil.Process(p.pid) for p in self._running.values() if p.poll() is None]
        self._pids.write_text(json.dumps([[process.pid, process.create_time()] for process in alive]))


def end_leftovers(folder: Path) -> None:
    """End what a killed supervisor of `folder` left running."""
    try:
        known = json.loads((folder / PIDS).read_text())
    except (OSError, ValueError):
        return
    for pid, created in known:
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - created) < 1:  # and not another one with the same number
                _kill_tree(process)
        except psutil.NoSuchProcess:
            if created > psutil.boot_time():  # else the numbers are another boot's
                _kill_session(pid)


def _kill_session(leader: int) -> None:
    """Kill what a program left in its session when it was killed itself: a cluster's workers go on without their head.

    A number in use as a session's is not given to another process, so that these are ours. Trainings have sessions of
    their own and are left alone.
    """
    for process in psutil.process_iter():
        try:
            if process.pid != leader and os.getsid(process.pid) == leader:
                process.kill()
        except (OSError, psutil.Error):
            continue


def _kill_tree(process: psutil.Process) -> None:
    for each in [*process.children(recursive=True), process]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
