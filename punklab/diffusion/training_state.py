"""The state of a training on disk: one safetensors file, replaced whole, so that `kill -9` costs only time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punklab.diffusion.header import HeaderError
from punklab.diffusion.header import read as read_safetensors_header
from punklab.diffusion.training_plan import TrainingError
from punklab.files import write_whole

if TYPE_CHECKING:
    import torch

STATE_FILE = "state.safetensors"
LOCK_FILE = "lock"
SPARE_BYTES = 500 * 10**6
_ADAPTER, _OPTIMIZER = "adapter.", "optimizer."


@dataclass(kw_only=True)
class Position:
    """Where a training is: `step` optimizer steps are done; the next batch is `batch` (from 0) of `epoch` (from 1)."""

    step: int = 0
    epoch: int = 1
    batch: int = 0
    losses: list[float] = field(default_factory=list)  # of the last epoch's worth of batches, by batch
    started_at: float = 0.0
    seconds: float = 0.0  # of work, over all its resumptions
    session: str = ""
    deciding: dict[str, Any] = field(default_factory=dict)  # TrainingPlan.deciding and the data's digest
    closed: bool = False  # the training has ended: no tensors are kept
    notes: list[str] = field(default_factory=list)

    @property
    def average(self) -> float:
        """The loss over the last epoch's worth of batches; 0 before the first."""
        return sum(self.losses) / len(self.losses) if self.losses else 0.0


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the state folder alone. Raises TrainingError when another trainer, on this machine, has it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"Another trainer is at work on {folder}; wait for it or stop it.") from error
        yield
    finally:
        os.close(handle)


def check_disk(need: dict[Path, int]) -> None:
    """Raises TrainingError where a folder's disk has less free than `need` bytes and 500 MB to spare."""
    by_disk: dict[int, tuple[Path, int]] = {}
    for folder, size in need.items():
        folder.mkdir(parents=True, exist_ok=True)
        disk = folder.stat().st_dev
        by_disk[disk] = (folder, by_disk.get(disk, (folder, SPARE_BYTES))[1] + size)
    for folder, wanted in by_disk.values():
        free = shutil.disk_usage(folder).free
        if free < wanted:
            raise TrainingError(
                f"{folder}: the training needs {wanted / 1e6:.0f} MB of free disk (checkpoints, state and 500 MB to "
                f"spare), {free / 1e6:.0f} MB are free; make room or save fewer epochs."
            )


@contextlib.contextmanager
def disk_errors_named(path: Path) -> Iterator[None]:
    """A failed write becomes a TrainingError that says which file and what is kept."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "make room and start it again" if full else "mend that and start it again"
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}); {mend}: it goes on from its last saved state."
        ) from error


def save_state(folder: Path, position: Position, adapter: dict[str, Any], optimizer: Any, scaler: Any) -> None:
    """Replace the state file. Raises TrainingError when it cannot be written; the file before it stays."""
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {_ADAPTER + name: tensor.detach() for name, tensor in adapter.items()}
    numbers: dict[str, Any] = {}
    for name, value in _leaves(optimizer.state_dict()["state"]):
        if hasattr(value, "detach"):
            tensors[_OPTIMIZER + name] = value.detach()
        else:
            numbers[name] = value
    packed, index = _packed(tensors)
    facts = {
        "position": asdict(position),
        "index": index,
        "optimizer": numbers,
        "scaler": scaler.state_dict() if scaler else {},
    }
    content = save(packed, metadata={"punklab": json.dumps(facts)})
    path = folder / STATE_FILE
    with disk_errors_named(path):
        write_whole(path, content)


def close_state(folder: Path, position: Position) -> None:
    """Keep the position alone of a training that has ended; the checkpoints hold its tensors."""
    from safetensors.torch import save

    facts = {"position": asdict(position), "optimizer": {}, "scaler": {}}
    with disk_errors_named(folder / STATE_FILE):
        write_whole(folder / STATE_FILE, save({}, metadata={"punklab": json.dumps(facts)}))


def load_position(folder: Path) -> Position | None:
    """Where the saved training is; None when nothing was saved. Raises TrainingError for a damaged file."""
    facts = _facts(folder / STATE_FILE)
    return None if facts is None else Position(**facts["position"])


def load_state(folder: Path, adapter: dict[str, torch.nn.Parameter], optimizer: Any, scaler: Any) -> None:
    """Put the saved tensors back into adapter, optimizer and scaler, bit for bit."""
    import torch
    from safetensors.torch import load_file

    path = folder / STATE_FILE
    facts = _facts(path)
    assert facts is not None
    tensors = _unpacked(load_file(path), facts["index"])
    with torch.no_grad():
        for name, tensor in adapter.items():
            tensor.copy_(tensors[_ADAPTER + name])
    entries: dict[int, dict[str, Any]] = {}
    saved = {name.removeprefix(_OPTIMIZER): value for name, value in tensors.items() if name.startswith(_OPTIMIZER)}
    for name, value in {**saved, **facts["optimizer"]}.items():
        index, *path, last = name.split("/")
        place = entries.setdefault(int(index), {})
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    if scaler and facts["scaler"]:
        scaler.load_state_dict(facts["scaler"])


def _packed(tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[Any]]:
    """One long tensor for each type, and an index of (name, type, shape): a LoRA has thousands of small ones, and
    writing each by itself takes longer than a training step."""
    import torch

    by_type: dict[str, list[torch.Tensor]] = {}
    index = []
    for name, tensor in tensors.items():
        kind = str(tensor.dtype)
        by_type.setdefault(kind, []).append(tensor.reshape(-1).cpu())
        index.append((name, kind, list(tensor.shape)))
    return {kind: torch.cat(parts) for kind, parts in by_type.items()}, index


def _unpacked(packed: dict[str, torch.Tensor], index: list[Any]) -> dict[str, torch.Tensor]:
    reached = dict.fromkeys(packed, 0)
    tensors = {}
    for name, kind, shape in index:
        start, size = reached[kind], math.prod(shape)
        tensors[name] = packed[kind][start : start + size].reshape(shape)
        reached[kind] = start + size
    return tensors


def _leaves(nested: dict[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Values and their paths `a/b/c`: bitsandbytes nests its 8-bit state one level deeper than torch."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}/")
        else:
            yield f"{path}{key}", value


def _facts(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(read_safetensors_header(path).metadata["punklab"])
        Position(**facts["position"])
    except (HeaderError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: the saved state is damaged ({error}); remove it to begin anew.") from error
    return facts
