"""Does a device really draw? Each is tried in a process of its own, which is killed when it hangs.

On Apple's GPUs the loading of a LoRA hangs at times, and a hanging thread cannot be stopped from within."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import ImageStat

from punklab.diffusion import lora
from punklab.diffusion.base import BaseModel, resolve_base
from punklab.diffusion.devices import Device, list_devices
from punklab.diffusion.renderer import Renderer, RenderError
from punklab.diffusion.request import RenderRequest

ROOT = Path(__file__).resolve().parents[2]
ATTEMPTS = 2
FLAT = 2.0  # levels of 255: a picture that deviates less is one colour


@dataclass(frozen=True, kw_only=True)
class DeviceTrial:
    """What came of drawing one picture, and one with a LoRA, on a device."""

    device: Device
    works: bool
    seconds: float | None  # for a picture, once the model is loaded; None when it does not work
    attempts: int
    fault: str  # a sentence; "" when it works


@dataclass(frozen=True, kw_only=True)
class Examination:
    base: BaseModel
    trials: tuple[DeviceTrial, ...]

    @property
    def best(self) -> Device | None:
        """The first of cuda, mps and cpu that works; None when none does."""
        return next((trial.device for trial in self.trials if trial.works), None)


def examine(base: BaseModel, timeout_s: float = 300) -> Examination:
    """Draw on every device of this machine. Raises BaseError when the base's files are not here."""
    base.files  # noqa: B018  # one clear error now in place of one from each child
    return Examination(base=base, trials=tuple(try_device(base, device, timeout_s) for device in list_devices()))


def try_device(base: BaseModel, device: Device, timeout_s: float = 300) -> DeviceTrial:
    """Draw on `device` in a child process, at most `timeout_s` seconds; one that hangs is killed and tried once more."""
    fault = ""
    for attempt in range(1, ATTEMPTS + 1):
        code, output = _in_child(base, device, timeout_s)
        if code is None:
            fault = f"{device.name} did not finish within {timeout_s:g} s, {attempt} times; its process was killed."
            continue
        if code == 0:
            seconds = float(json.loads(output.splitlines()[-1])["seconds"])
            return DeviceTrial(device=device, works=True, seconds=seconds, attempts=attempt, fault="")
        last = (output.strip().splitlines() or [f"its process ended with status {code}"])[-1]
        return DeviceTrial(device=device, works=False, seconds=None, attempts=attempt, fault=f"{device.name}: {last}")
    return DeviceTrial(device=device, works=False, seconds=None, attempts=ATTEMPTS, fault=fault)


def draw_twice(base: BaseModel, device: str) -> float:
    """Draw with the base and with a LoRA loaded from a file; seconds for one picture. Raises RenderError when what comes
    out is flat."""
    renderer = Renderer(base, device)
    profile = base.profile
    request: dict[str, Any] = {
        "base": base.name, "base_hash": base.fingerprint, "prompt": "pixel art, portrait", "seed": 1, "steps": 4,
        "guidance": profile.guidance, "scheduler": profile.scheduler, "width": profile.size, "height": profile.size,
        "max_token_length": profile.max_token_length,
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trial.safetensors"
        _write_small_lora(path, base)
        sha256 = lora.read_header(path).sha256
        bare, bent = RenderRequest(**request), RenderRequest(**request, lora_sha256=sha256)
        renderer.render([bare, bent], {sha256: path})
        began = time.perf_counter()
        pictures = [renderer.render([each], {sha256: path})[0].raw for each in (bent, bare)]
        seconds = (time.perf_counter() - began) / len(pictures)
    for picture in pictures:
        if ImageStat.Stat(picture.convert("L")).stddev[0] < FLAT:
            raise RenderError(f"{device} drew one colour only.")
    return seconds


def main(arguments: Sequence[str]) -> int:
    """The child: what to draw with as JSON in the first argument; the outcome as JSON in the last line it writes."""
    asked = json.loads(arguments[0])
    base = resolve_base(asked["name"], asked["revision"], asked["folder"])
    sys.stdout.write(json.dumps({"seconds": draw_twice(base, asked["device"])}) + "\n")
    return 0


def _in_child(base: BaseModel, device: Device, timeout_s: float) -> tuple[int | None, str]:
    """Exit status and output; None when it had to be killed."""
    asked = {"name": base.name, "revision": base.revision, "folder": str(base.files), "device": device.name}
    child = subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", "punklab.diffusion.doctor", json.dumps(asked)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return None, ""
    return child.returncode, output


def _write_small_lora(path: Path, base: BaseModel) -> None:
    import torch

    random = torch.Generator().manual_seed(1)
    tensors = {}
    for name, shape in base.shapes.items():
        if name.endswith(("_to_k", "_to_v", "_q_proj")):
            tensors[name + lora.DOWN] = torch.randn(2, *shape[1:], generator=random) * 0.01
            tensors[name + lora.UP] = torch.randn(shape[0], 2, generator=random) * 0.01
    lora.save_lora(path, tensors, lora.base_metadata(base))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
