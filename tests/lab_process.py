"""`make lab` as a person runs it: in a terminal of its own, with a state folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Lab:
    """A running lab: its process, what it printed so far, where it answers and who may log in."""

    process: subprocess.Popen[str]
    output: Path
    env: dict[str, str]

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def address(self) -> str:
        return self._find(r"Generator\s+(http\S+)/$")

    def password(self, name: str) -> str:
        return self._find(rf"\b{name}: ([\w-]+)")

    def wait_for(self, pattern: str, seconds: float) -> str:
        """Wait until the lab says something; return it. Fails with what it said when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.said, re.MULTILINE)
            if found:
                return found.group()
            assert self.process.poll() is None, f"make lab ended:\n{self.said}"
            time.sleep(0.2)
        raise AssertionError(f"make lab did not say {pattern!r} in {seconds:g} s:\n{self.said}")

    def interrupt(self) -> int:
        """Ctrl-C; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on this lab."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def _find(self, pattern: str) -> str:
        found = re.search(pattern, self.said, re.MULTILINE)
        assert found, self.said
        return found.group(1)


@contextmanager
def lab(state: Path, *arguments: str) -> Iterator[Lab]:
    """Start the lab with its state in `state`, until the block ends."""
    state.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "STORAGE_DIR")}
    env |= {"STATE_DIR": str(state), "PYTHONUNBUFFERED": "1"}
    output = state / "said.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "lab", *arguments], cwd=ROOT, env=env, stdout=file, stderr=file, text=True
        )
    running = Lab(process, output, env)
    try:
        running.wait_for(r"Ctrl-C ends it", 120)
        yield running
    finally:
        if process.poll() is None:
            running.interrupt()
