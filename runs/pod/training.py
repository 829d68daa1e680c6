"""The trainer as a child: its progress read off what it prints, its epochs put in place when they are whole."""

from __future__ import annotations

import contextlib
import math
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from runs.pod import watch
from runs.pod.files import free_bytes, is_whole
from runs.pod.place import Over, Place
from runs.pod.states import States, epoch_of
from runs.pod.status import Status

TRIES = 3  # trainings in an attempt
LOSSES = 400  # points of a whole training
_STEPS = re.compile(r"steps:.*?\|\s*(\d+)/(\d+) \[([\d:]+)<([\d:?]+).*?(?:avr_loss=([-\d.einfa+]+))?\]")
_TOTAL = re.compile(r"total optimization steps\b.*?: *(\d+)")
_EPOCH = re.compile(r"^epoch (\d+)/(\d+)\s*$")
_FULL = ("No space left on device", "Disk quota exceeded")
_SAVED = "model saved."  # kohya's last words
_MEMORY = ("CUDA out of memory", "CUDA error: out of memory")
_HOST = (  # this machine's fault: another may be sound
    "No CUDA GPUs are available",
    "Found no NVIDIA driver",
    "CUDA driver version is insufficient",
    "no CUDA-capable device is detected",
    "busy or unavailable",
    "uncorrectable ECC error",
    "GPU is lost",
)
_NETWORK = ("We couldn't connect to", "Max retries exceeded", "Temporary failure in name resolution")


class Trainer:
    """One job's trainer. `carry_out` returns when every epoch is in place, and raises Over for every other end."""

    def __init__(self, place: Place, spec: dict[str, Any], status: Status, script: Path, python: str) -> None:
        self.place, self.spec, self.status = place, spec, status
        self.script, self.python = script, python
        self.log = place.mine / "trainer.log"
        self._tail: list[str] = []
        self._moved = time.monotonic()  # when a step or an epoch was last seen
        self._lost_at = -math.inf  # the step of the last point of the curve
        self._loss: dict[str, Any] = {}  # the last one that was printed, as its event says it
        self._sizes: dict[str, int] = {}
        self._states = States(place.output)
        self._begun = 0  # the epoch whose beginning this training has printed
        self._made_room = False

    def carry_out(self, package: Path) -> None:
        """Train, again from the last state where the trainer dies."""
        self.place.output.mkdir(parents=True, exist_ok=True)
        self.place.ckpt.mkdir(parents=True, exist_ok=True)
        for path in [*self.place.output.glob("*.safetensors"), *self.place.ckpt.glob("*.safetensors")]:
            if not is_whole(path):  # torn by a kill
                path.unlink()
        self._publish(is_over=True)
        tries = 0
        while self._missing() and tries < TRIES:
            tries += 1
            code = self._train(package)
            if self._missing():
                self._explain(code)
        if self._missing():
            # Where what it needs could not be had over the network, another machine may have it.
            state = "interrupted" if self._said(_NETWORK) else "failed"
            raise Over(state, f"The trainer ended {TRIES} times before the last epoch: {self._last_line()}")
        self._states.drop_last()

    def _train(self, package: Path) -> int:
        self._moved, self._begun, self._tail = time.monotonic(), 0, []
        child = subprocess.Popen(  # noqa: S603
            self._argv(package),
            cwd=package,
            env=watch.children_env() | {"HF_HOME": str(self.place.volume / "models"), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert child.stdout is not None
        reader = threading.Thread(target=self._read, args=(child.stdout,), daemon=True)
        reader.start()
        try:
            while child.poll() is None:
                watch.check(self.place)
                self._publish(is_over=False)
                if time.monotonic() - self._moved > float(self.spec["stall_seconds"]):
                    raise Over("interrupted", f"The trainer made no step for {self.spec['stall_seconds']} s.")
                time.sleep(watch.LOOK)
        finally:
            watch.end(child)
            reader.join(5)
            self._publish(is_over=True)
        return child.returncode

    def _argv(self, package: Path) -> list[str]:
        argv = [self.python, str(self.script), "--config_file", str(package / "training_config.toml")]
        argv += ["--train_data_dir", str(package / "train_data"), "--output_dir", str(self.place.output)]
        argv += ["--output_name", str(self.spec["output_name"]), "--save_state"]
        if state := self._states.newest(below=self._missing()):
            # A resumed kohya counts its steps from 0 into its next states, so that their own count would repeat epochs
            # (sd-scripts 0.9.1, with --skip_until_initial_step too): the folder's name is right.
            argv += ["--resume", str(state), "--initial_epoch", str(epoch_of(state) + 1)]
        return argv

    def _read(self, stream: IO[bytes]) -> None:
        """Everything that it prints: lines end in a line feed, progress in a carriage return."""
        rest = b""
        with self.log.open("ab") as log:
            while piece := os.read(stream.fileno(), 2**16):
                with contextlib.suppress(OSError):  # a full volume: the training must not hang on its log
                    log.write(piece)
                    log.flush()
                *lines, rest = re.split(rb"[\r\n]", rest + piece)
                for line in lines:
                    self._line(line.decode(errors="replace").rstrip())

    def _line(self, line: str) -> None:
        if not line:
            return
        if found := _STEPS.search(line):
            self._step(int(found[1]), int(found[2]), found[4], found[5])
            line = line[found.end() :].strip()  # what follows the bar on its line
            if not line:
                return
        self._tail = [*self._tail[-40:], line]
        if line == _SAVED:
            self._tell_loss()
        elif found := _TOTAL.search(line):
            self.status.tell(total_steps=int(found[1]))
        elif found := _EPOCH.match(line):
            self._moved = time.monotonic()
            self._tell_loss()  # the last of the epoch before
            self._begun = int(found[1])
            self.status.tell(epoch=self._begun)
        elif "caching latents" in line.lower():
            self._moved = time.monotonic()
            self.status.enter("caching")

    def _step(self, done: int, of: int, left: str, loss: str | None) -> None:
        """A resumed training's bar counts what is left."""
        total = max(of, self.status.facts["total_steps"] or 0)
        step = total - of + done
        if step != self.status.facts["step"]:
            self._moved = time.monotonic()
        if self.status.phase != "training":
            self.status.enter("training")
        value = _number(loss)
        self.status.tell(step=step, total_steps=total, loss=value, eta_seconds=_seconds(left))
        if value is None or not step:
            return
        self._loss = {"step": step, "epoch": self.status.facts["epoch"], "loss": value}
        if step - self._lost_at >= total / LOSSES:
            self._tell_loss()

    def _tell_loss(self) -> None:
        """Put the last loss into the curve, where it is not there yet."""
        if self._loss and self._loss["step"] != self._lost_at:
            self._lost_at = self._loss["step"]
            self.status.event("loss", **self._loss)

    def _publish(self, *, is_over: bool) -> None:
        """Put what is whole in place: its length is right, and it does not grow any more."""
        for path in sorted(self.place.output.glob("*.safetensors")):
            try:
                size = path.stat().st_size
            except OSError:
                continue
            if not is_whole(path) or (not is_over and self._sizes.get(path.name) != size):
                self._sizes[path.name] = size
                continue
            target = self.place.ckpt / path.name
            if target.exists() and is_whole(target):  # made twice after a kill: the first stays
                path.unlink()
                continue
            with path.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(path, target)
            self._moved = time.monotonic()
            self.status.write()
            found = next((each for each in self.status.files() if each["name"] == path.name), None)
            self.status.event("checkpoint", file=found)
        self._states.mark(self._begun)

    def _missing(self) -> int:
        """The first epoch, from 1, whose file is not in place whole; 0 where none is missing."""
        name, epochs = str(self.spec["output_name"]), int(self.spec["epochs"])
        names = [f"{name}-{epoch:06d}" for epoch in range(1, epochs)] + [name]  # kohya's last has no number
        files = (self.place.ckpt / f"{each}.safetensors" for each in names)
        return next((epoch for epoch, path in enumerate(files, start=1) if not is_whole(path)), 0)

    def _explain(self, code: int) -> None:
        """Why the trainer ended; Over where another try on this machine would not help."""
        if self._said(_MEMORY):
            raise Over(
                "failed",
                "The GPU's memory did not suffice: lower train_batch_size or resolution, or take a larger GPU.",
            )
        if self._said(_HOST):
            raise Over("interrupted", f"The machine's GPU cannot be used: {self._last_line()}")
        if self._said(_FULL) or free_bytes(self.place.volume) < int(self.spec["checkpoint_bytes"]):
            if self._made_room or not self._make_room():
                raise Over("failed", "The volume is full: enlarge it, or delete what is not needed there.")
            self._made_room = True
        self.status.problem(f"The trainer ended with {code} ({self._last_line()}); it is started again.")

    def _make_room(self) -> bool:
        """Delete what is no whole epoch and no state to go on from; say whether that was anything."""
        torn = list(self.place.output.glob("*.safetensors"))  # what was whole is in place already
        for path in torn:
            path.unlink()
        return self._states.make_room() or bool(torn)

    def _said(self, signs: Sequence[str]) -> bool:
        said = "\n".join(self._tail)
        return any(sign in said for sign in signs)

    def _last_line(self) -> str:
        return self._tail[-1][:300] if self._tail else "it printed nothing"


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float | None:
    """tqdm's 39:10 or 1:02:03 in seconds."""
    total = 0
    for part in text.split(":"):
        if not part.isdecimal():
            return None
        total = 60 * total + int(part)
    return float(total)
