"""What a pod's program writes, read with care: the machine is not ours, so nothing of it is believed unchecked.

`docs/pod.md` is the contract.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 2**53
STATES = ("finished", "cancelled", "failed", "interrupted")


class ReportError(ValueError):
    """A file of the pod's that does not keep to the contract; the message names file and value."""


@dataclass(frozen=True, kw_only=True)
class PodFile:
    """An epoch's file. `sha256` is "" for one that lies there without a word about it."""

    name: str
    epoch: int | None
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PodStatus:
    """Where the program is. Seconds by phase, bytes free on the volume; None: not known."""

    seq: int
    pod: str
    phase: str
    message: str
    step: int
    total_steps: int
    epoch: int
    loss: float | None
    eta_seconds: float | None
    free_bytes: int | None
    gpu: str
    seconds: dict[str, float]
    files: tuple[PodFile, ...]


@dataclass(frozen=True, kw_only=True)
class PodResult:
    """How the program ended: `state` is one of STATES, `reason` a sentence."""

    attempt: int
    pod: str
    state: str
    reason: str
    step: int
    total_steps: int
    gpu: str
    seconds: dict[str, float]
    files: tuple[PodFile, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was read in one look: each part None or empty where it is not there. `events_read`: bytes taken in so far."""

    status: PodStatus | None = None
    result: PodResult | None = None
    losses: tuple[tuple[int, int, float], ...] = ()  # step, epoch, loss
    problems: tuple[str, ...] = ()
    events_read: int = 0
    trouble: str = ""  # why a part could not be read, a sentence

    @property
    def pod(self) -> str:
        """The machine that this attempt's program says it runs on; "" while it has said nothing."""
        return self.status.pod if self.status else ""


def read_status(raw: Mapping[str, Any]) -> PodStatus:
    """`status.json` as it was parsed. Raises ReportError."""
    return PodStatus(
        seq=_whole(raw, "seq"),
        pod=_text(raw, "pod", 100),
        phase=_text(raw, "phase", 20),
        message=_text(raw, "message", 2000),
        step=_whole(raw, "step"),
        total_steps=_whole(raw, "total_steps"),
        epoch=_whole(raw, "epoch"),
        loss=_number(raw, "loss"),
        eta_seconds=_number(raw, "eta_seconds"),
        free_bytes=_whole(raw, "free_bytes") if raw.get("free_bytes") is not None else None,
        gpu=_text(raw, "gpu", 100),
        seconds=_seconds(raw),
        files=_files(raw),
    )


def read_result(raw: Mapping[str, Any]) -> PodResult:
    """`result.json` as it was parsed. Raises ReportError."""
    state = _text(raw, "state", 20)
    if state not in STATES:
        raise ReportError(f"result.json: the state {state!r} is none of {', '.join(STATES)}.")
    return PodResult(
        attempt=_whole(raw, "attempt"),
        pod=_text(raw, "pod", 100),
        state=state,
        reason=_text(raw, "reason", 2000),
        step=_whole(raw, "step"),
        total_steps=_whole(raw, "total_steps"),
        gpu=_text(raw, "gpu", 100),
        seconds=_seconds(raw),
        files=_files(raw),
    )


def read_events(raw: bytes) -> tuple[tuple[tuple[int, int, float], ...], tuple[str, ...], int]:
    """Losses (step, epoch, loss), problems, and how many bytes were whole lines; what is no event is passed over."""
    whole = raw[: raw.rfind(b"\n") + 1]
    losses, problems = [], []
    for line in whole.splitlines():
        event = _event(line)
        try:
            if event.get("kind") == "loss" and (loss := _number(event, "loss")) is not None:
                losses.append((_whole(event, "step"), _whole(event, "epoch"), loss))
            elif event.get("kind") == "problem":
                problems.append(_text(event, "message", 2000))
        except ReportError:
            continue
    return tuple(losses), tuple(problems), len(whole)


def _event(line: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _files(raw: Mapping[str, Any]) -> tuple[PodFile, ...]:
    files = raw.get("files", [])
    if not isinstance(files, list):
        raise ReportError(f"files: {files!r} is no list.")
    return tuple(_file(each) for each in files)


def _file(raw: object) -> PodFile:
    if not isinstance(raw, dict):
        raise ReportError(f"files: {raw!r} is no file.")
    name, sha256 = str(raw.get("name")), str(raw.get("sha256"))
    if not _NAME.fullmatch(name) or not _SHA256.fullmatch(sha256):
        raise ReportError(f"files: {name!r} with SHA-256 {sha256!r} is no epoch's file.")
    return PodFile(name=name, epoch=_whole(raw, "epoch"), size=_whole(raw, "size"), sha256=sha256)


def _whole(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        raise ReportError(f"{name}: {value!r} is no whole number.")
    return int(value)


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _text(raw: Mapping[str, Any], name: str, most: int) -> str:
    value = raw.get(name) or ""
    return str(value).replace("\0", "")[:most]


def _seconds(raw: Mapping[str, Any]) -> dict[str, float]:
    seconds = raw.get("seconds")
    if not isinstance(seconds, dict):
        return {}
    return {str(key)[:20]: float(value) for key, value in seconds.items() if isinstance(value, int | float)}
