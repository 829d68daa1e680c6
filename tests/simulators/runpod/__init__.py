"""RunPod in a process of its own: `Simulator` starts it and looks into it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


class Simulator:
    """A context manager. `settings` are the values that point the site at it; `volume` is its one volume's folder."""

    def __init__(self, state: Path, *, scale: float = 1.0, seed: int = 0, openapi: Path | None = None) -> None:
        self.state = state
        argv = [
            sys.executable,
            "-m",
            "tests.simulators.runpod",
            "--state",
            str(state),
            "--time-scale",
            str(scale),
            "--seed",
            str(seed),
        ]
        self._argv = [*argv, *(["--openapi", str(openapi)] if openapi else [])]
        self.settings: dict[str, Any] = {}

    def __enter__(self) -> Simulator:
        self._process = subprocess.Popen(self._argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.environment: dict[str, str] = json.loads(self._process.stdout.readline())
        self.settings = self.environment | {"RUNPOD_VOLUMES": json.loads(self.environment["RUNPOD_VOLUMES"])}
        self.volume = self.state / "volumes" / self.settings["RUNPOD_VOLUMES"][0]["id"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def look(self) -> dict[str, Any]:
        """Pods, processes, spend by pod, requests by kind, violations of the contract."""
        return self._control("state")

    def fail(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from now on; none: nothing."""
        self._control("faults", {"faults": list(faults)})

    def set(self, **facts: Any) -> None:
        """provision, pull, hidden (seconds), balance (bool), page (pods), stock (by data centre and GPU)."""
        self._control("set", facts)

    def do(self, what: str, pod: str) -> None:
        """`vanish`, `exit` or `kill_process` of a pod."""
        self._control("pod", {"do": what, "id": pod})

    def _control(self, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = self.environment["RUNPOD_API_URL"].removesuffix("/v2") + f"/_sim/{name}"
        request = urllib.request.Request(url, data=json.dumps(body or {}).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))
