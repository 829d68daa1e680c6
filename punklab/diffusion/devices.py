"""What this machine can draw on. torch is imported only to ask it."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from punklab.diffusion.profiles import DEVICES


class DeviceError(Exception):
    """The device asked for is not there."""


@dataclass(frozen=True, kw_only=True)
class Device:
    name: str  # cuda, mps or cpu: torch's name
    label: str  # what people call it
    memory_bytes: int | None  # None where it shares the machine's


def list_devices() -> list[Device]:
    """Every device that torch offers here, the fastest kind first; the CPU is always the last."""
    import torch

    found = []
    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        found.append(Device(name="cuda", label=facts.name, memory_bytes=facts.total_memory))
    if torch.backends.mps.is_available():
        found.append(Device(name="mps", label=f"Apple {platform.processor() or 'GPU'}", memory_bytes=None))
    cpu = platform.processor() or platform.machine()
    return [*found, Device(name="cpu", label=f"{cpu}, {torch.get_num_threads()} threads", memory_bytes=None)]


def pick_device(wanted: str = "auto") -> str:
    """`wanted` when it is here; for "auto" the first of cuda, mps and cpu that is. Raises DeviceError.

    That a device is here does not mean that it works: `doctor.examine` draws on each."""
    here = [device.name for device in list_devices()]
    if wanted == "auto":
        return here[0]
    if wanted not in DEVICES:
        raise DeviceError(f"There is no device {wanted!r}: auto, {', '.join(DEVICES)} are known.")
    if wanted not in here:
        raise DeviceError(f"torch finds no {wanted} on this machine; it has {', '.join(here)}.")
    return wanted
