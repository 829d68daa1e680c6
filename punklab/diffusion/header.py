"""The header of a safetensors file, read with suspicion and without torch.

The format: eight bytes of length (little-endian), a JSON object of that length, the data. Names, types, shapes and offsets
come from the JSON, so nothing in it is believed before it fits the file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, cast

MOST_HEADER_BYTES = 32 * 2**20  # Stable Diffusion's UNet has 100 KB, a LoRA with kohya's metadata less than 1 MB
PICKLES = (b"PK", b"\x80")  # PyTorch's zip, and a bare pickle; a header's length can begin so too
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class HeaderError(Exception):
    """The file is no safetensors file that can be trusted."""


@dataclass(frozen=True, kw_only=True)
class TensorFacts:
    dtype: str
    shape: tuple[int, ...]
    start: int  # byte in the file
    end: int


@dataclass(frozen=True, kw_only=True)
class Header:
    tensors: MappingProxyType[str, TensorFacts]
    metadata: MappingProxyType[str, str]


def read(path: Path) -> Header:
    """What `path` says of its tensors, checked against the file. Raises HeaderError."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            raw = _json_bytes(path, file, size)
    except OSError as error:
        raise HeaderError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise HeaderError(
            f"{path.name}: the header is not JSON ({error}): not a safetensors file, or damaged."
        ) from error
    if not isinstance(content, dict):
        raise HeaderError(f"{path.name}: the header is not a JSON object: not a safetensors file, or damaged.")
    metadata = _metadata(path, content.pop("__metadata__", {}))
    data_start = 8 + len(raw)
    tensors = {name: _facts(path, name, entry, data_start) for name, entry in content.items()}
    _refuse_gaps(path, tensors, data_start, size)
    return Header(tensors=MappingProxyType(tensors), metadata=MappingProxyType(metadata))


def _json_bytes(path: Path, file: BinaryIO, size: int) -> bytes:
    if size == 0:
        raise HeaderError(f"{path.name} is empty (0 bytes).")
    start = file.read(8)
    if len(start) < 8:
        raise HeaderError(f"{path.name} has {size} bytes: no safetensors file is that short.")
    length = int.from_bytes(start, "little")
    if length > size - 8 and start.startswith(PICKLES):
        raise HeaderError(f"{path.name} is a PyTorch pickle under another name; only safetensors files are opened.")
    if length > size - 8:
        raise HeaderError(
            f"{path.name}: its header should have {length} bytes, the whole file has {size}: truncated, or no safetensors file."
        )
    if length > MOST_HEADER_BYTES:
        raise HeaderError(f"{path.name}: a header of {length} bytes is not believed (most: {MOST_HEADER_BYTES}).")
    return file.read(length)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _metadata(path: Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise HeaderError(f"{path.name}: the metadata is not a table of texts.")
    return cast("dict[str, str]", metadata)


def _facts(path: Path, name: str, entry: object, data_start: int) -> TensorFacts:
    damaged = HeaderError(f"{path.name}: the entry of tensor {name[:120]!r} is damaged.")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise damaged
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in SIZES or not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise damaged
    start, end = offsets
    if end - start != math.prod(shape) * SIZES[dtype]:
        raise HeaderError(
            f"{path.name}: tensor {name[:120]!r} has {end - start} bytes, its shape {shape} wants others."
        )
    return TensorFacts(dtype=dtype, shape=tuple(shape), start=data_start + start, end=data_start + end)


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48 for value in values
    )


def _refuse_gaps(path: Path, tensors: dict[str, TensorFacts], data_start: int, size: int) -> None:
    """Tensors must lie end to end and fill the file: no overlap, no hole, nothing behind."""
    reached = data_start
    for name, facts in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if facts.start != reached:
            raise HeaderError(f"{path.name}: tensor {name[:120]!r} overlaps another or leaves a hole.")
        reached = facts.end
    if reached != size:
        fault = "truncated" if reached > size else "there is something behind its tensors"
        raise HeaderError(f"{path.name} has {size} bytes, its header says {reached}: {fault}.")
