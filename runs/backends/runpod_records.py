"""What RunPod's REST API takes and gives, as values. Fields of an answer that are not named here are passed over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from runs.backends.runpod_errors import UnansweredError


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod. `cost`: US dollars an hour now; `created_at`: ISO 8601; `data_center`: "" while it has none."""

    id: str
    name: str
    status: str
    cost: Decimal
    created_at: str
    gpu: str = ""
    data_center: str = ""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a pod's log. `source`: container or system; `at`: ISO 8601."""

    source: str
    text: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A kind of GPU. `price`: US dollars an hour in the secure cloud; None: not to be had there.

    `stock`: NONE, LOW, MEDIUM or HIGH over all data centres."""

    id: str
    label: str
    price: Decimal | None
    memory_gb: int = 0
    stock: str = "NONE"


@dataclass(frozen=True, kw_only=True)
class NetworkVolume:
    """A network volume; `size_gb` is what is paid for."""

    id: str
    name: str
    data_center: str
    size_gb: int


@dataclass(frozen=True, kw_only=True)
class PodRequest:
    """A pod to be made: one GPU, one network volume, a start command of plain words."""

    name: str
    image: str
    gpu: str
    data_center: str
    volume: str
    mount: str
    disk: int  # GB
    args: str
    env: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return {
            "name": self.name,
            "image": self.image,
            "cloud": "SECURE",
            "gpu": {"id": self.gpu, "count": 1},
            "dataCenterIds": [self.data_center],
            "disk": self.disk,
            "mounts": {"network": [{"volumeId": self.volume, "path": self.mount}]},
            "ports": [],
            "args": self.args,
            "env": dict(self.env),
        }


def pod_from(raw: Any) -> Pod:
    """Raises UnansweredError for what is no pod."""
    with_gpu = raw.get("gpu") if isinstance(raw, dict) else None
    try:
        return Pod(
            id=_text(raw["id"]),
            name=_text(raw["name"]),
            status=_text(raw["status"]),
            cost=money_from(raw.get("cost")) or Decimal(0),
            created_at=str(raw.get("createdAt") or ""),
            gpu=str(with_gpu.get("id", "")) if isinstance(with_gpu, dict) else "",
            data_center=str(raw.get("dataCenterId") or ""),
        )
    except (KeyError, TypeError, AttributeError):
        raise UnansweredError("RunPod's answer holds no pod that can be read.") from None


def gpu_from(raw: Any) -> Gpu:
    """Raises UnansweredError for what is no kind of GPU."""
    try:
        price = money_from((raw.get("price") or {}).get("secure"))
        return Gpu(
            id=_text(raw["id"]),
            label=str(raw.get("name") or raw["id"]),
            price=price if price and raw.get("secure", True) else None,  # a price of 0 would slip under every cap
            memory_gb=int(raw.get("memory") or 0),
            stock=str(raw.get("availability") or "NONE"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnansweredError("RunPod's catalog holds a GPU that cannot be read.") from None


def stock_from(raw: Any) -> tuple[str, dict[str, str]]:
    """A data centre's id, and its level of stock by GPU. Raises UnansweredError for what is no data centre."""
    try:
        levels = raw.get("gpuAvailability") or ()
        return _text(raw["id"]), {_text(each["id"]): str(each.get("availability") or "NONE") for each in levels}
    except (KeyError, TypeError, AttributeError):
        raise UnansweredError("RunPod's catalog holds a data centre that cannot be read.") from None


def volume_from(raw: Any) -> NetworkVolume:
    """Raises UnansweredError for what is no network volume."""
    try:
        return NetworkVolume(
            id=_text(raw["id"]),
            name=str(raw.get("name") or ""),
            data_center=_text(raw["dataCenter"]),
            size_gb=int(raw.get("size") or 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnansweredError("RunPod's answer holds no network volume that can be read.") from None


def line_from(raw: Any) -> LogLine | None:
    """None for what is no line."""
    if not isinstance(raw, dict) or "line" not in raw:
        return None
    return LogLine(source=str(raw.get("source", "")), text=str(raw["line"]), at=str(raw.get("ts", "")))


def money_from(raw: object) -> Decimal | None:
    """US dollars of a JSON number; None for anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    return Decimal(str(raw))


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw:
        raise TypeError("no text")
    return raw
