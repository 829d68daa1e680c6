"""Files on the volume: whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; {} where the file is not there or no whole object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a safetensors file has the length that its header says: the format's own rule (8 bytes, header, data)."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= size - 8:
                return False
            header = json.loads(file.read(length))
    except (OSError, ValueError):
        return False
    try:
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return bool(ends) and size == 8 + length + max(ends)
    except (AttributeError, IndexError, KeyError, TypeError):  # JSON, and no header
        return False


def metadata_of(path: Path) -> dict[str, str]:
    """The metadata of a whole safetensors file. Raises OSError, ValueError."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return dict(header.get("__metadata__") or {})


def free_bytes(volume: Path) -> int:
    """Bytes free on the volume: its own quota, which the file system does not show, where the file .quota names one."""
    free = shutil.disk_usage(volume).free
    with contextlib.suppress(OSError, ValueError):
        free = min(free, int((volume / ".quota").read_text()) - used_bytes(volume))
    return max(0, free)


def used_bytes(folder: Path) -> int:
    """Bytes in all files below a folder; 0 where there is none."""
    used = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                used += (Path(inner) / name).lstat().st_size
    return used


def sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
