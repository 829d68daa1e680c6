"""Where the program is, written for the site: `status.json` again and again, `events.jsonl` line by line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs.pod.files import free_bytes, metadata_of, read_json, sha256_of, write_json
from runs.pod.place import Place

EVERY = 3.0  # seconds between two writings
_NUMBER = re.compile(r"-(\d{6})\.safetensors$")


class Status:
    """This attempt's status and events. Thread-safe; a volume that cannot be written for a while is no end."""

    def __init__(self, place: Place, epochs: int) -> None:
        self.place, self.epochs = place, epochs
        earlier = read_json(place.mine / "status.json")
        self._seq = int(earlier.get("seq", 0))
        self.seconds: dict[str, float] = dict(earlier.get("seconds", {}))
        self.facts: dict[str, Any] = {name: earlier.get(name, 0) for name in ("step", "total_steps", "epoch")} | {
            "loss": None,
            "eta_seconds": None,
            "message": "",
        }
        self.phase = "preflight"
        self.gpu, self.gpu_trouble = _gpu()
        self._since = time.monotonic()
        self._lock = threading.RLock()
        self._hashes: dict[tuple[str, int], dict[str, Any]] = {}
        self._events, self._is_torn = self._count_events()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def start(self) -> None:
        """Write at once, and from now on every few seconds."""
        self.write()
        self._thread.start()

    def enter(self, phase: str) -> None:
        """Go over to another phase."""
        with self._lock:
            self._clock()
            if phase != self.phase:
                self.phase = phase
                self.event("phase", phase=phase)
        self.write()

    def tell(self, **facts: Any) -> None:
        """Take up facts; they are written with the next writing."""
        with self._lock:
            self.facts.update(facts)

    def problem(self, message: str) -> None:
        """Something went wrong that is not the end."""
        self.event("problem", message=message)
        self.tell(message=message)

    def event(self, kind: str, **facts: Any) -> None:
        """Append one line."""
        with self._lock, contextlib.suppress(OSError), (self.place.mine / "events.jsonl").open("ab") as file:
            if self._is_torn:
                file.write(b"\n")
            self._is_torn = True
            line = json.dumps({"n": self._events + 1, "ts": time.time(), "kind": kind, **facts})
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._events, self._is_torn = self._events + 1, False

    def files(self) -> list[dict[str, Any]]:
        """The epochs that lie whole in `ckpt/`, of all attempts."""
        return [found for path in sorted(self.place.ckpt.glob("*.safetensors")) if (found := self._file(path))]

    def write(self) -> None:
        """Write `status.json` now."""
        with self._lock:
            if self._over.is_set():
                return
            self._clock()
            self._seq += 1
            with contextlib.suppress(OSError):
                write_json(self.place.mine / "status.json", self._whole())

    def end(self, write_result: Callable[[], None]) -> None:
        """Write a last time, then the result, then nothing any more. Raises OSError of `write_result`, and goes on."""
        with self._lock:  # the result is the last word: the site may empty the folder as soon as it is there
            self.enter("ended")
            write_result()
            self._over.set()

    def _whole(self) -> dict[str, Any]:
        return {
            "version": 1,
            "seq": self._seq,
            "attempt": self.place.attempt,
            "pod": self.place.pod,
            "phase": self.phase,
            "epochs": self.epochs,
            "free_bytes": free_bytes(self.place.volume),
            "gpu": self.gpu,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
            "files": self.files(),
            "ts": time.time(),
            **self.facts,
        }

    def _clock(self) -> None:
        now = time.monotonic()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self._since
        self._since = now

    def _beat(self) -> None:
        while not self._over.wait(EVERY):
            self.write()

    def _file(self, path: Path) -> dict[str, Any] | None:
        try:
            size = path.stat().st_size
            known = self._hashes.get((path.name, size))
            if known is None:
                known = {"name": path.name, "epoch": self._epoch(path), "size": size, "sha256": sha256_of(path)}
                self._hashes[path.name, size] = known
        except (OSError, ValueError):
            return None
        return known

    def _epoch(self, path: Path) -> int:
        """By the file's name; the last epoch's has no number."""
        if found := _NUMBER.search(path.name):
            return int(found[1])
        told = metadata_of(path).get("ss_epoch", "")
        return int(told) if told.isdecimal() else self.epochs

    def _count_events(self) -> tuple[int, bool]:
        """How many lines there are, and whether a kill tore the last one."""
        try:
            content = (self.place.mine / "events.jsonl").read_bytes()
        except OSError:
            return 0, False
        is_torn = content != b"" and not content.endswith(b"\n")
        return content.count(b"\n") + is_torn, is_torn


def _gpu() -> tuple[str, str]:
    """The GPU's name, and why there is none to train on; both "" where no `nvidia-smi` could say."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=30,
        )
    except FileNotFoundError:
        return "", ""
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"nvidia-smi does not answer: {error}"
    names = found.stdout.strip().splitlines()
    if found.returncode or not names:
        said = (found.stderr.strip() or found.stdout.strip() or "it names none").splitlines()[0]
        return "", f"nvidia-smi shows no GPU: {said[:200]}"
    return names[0], ""
