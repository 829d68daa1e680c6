"""What lies in a folder of past files: LoRAs and pictures, without following links out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILES = 50_000
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
# What browsers and file managers add to a second file of one name: "x (1)", "x_(1)", "x copy", "x copy 2", "x - Copy".
_COPY = re.compile(r"(?:[ _]\(\d+\)|[ _-]+copy(?: \d+)?)$", re.IGNORECASE)
_EPOCH = re.compile(r"-(\d{6})$")


class FolderError(ValueError):
    """A folder that is not looked through; the message says why and what to name instead."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files of a folder, by kind, and what was passed over with the reason."""

    folder: Path
    loras: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def look_through(folder: Path) -> Found:
    """All files below `folder`. Raises FolderError for no folder, and for one with more than MOST_FILES files."""
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise FolderError(f"{folder} is no folder: name the one that holds past checkpoints and pictures.")
    found = Found(folder=folder)
    for number, path in enumerate(_files(folder, found), start=1):
        if number > MOST_FILES:
            raise FolderError(f"{folder} holds more than {MOST_FILES} files: name a smaller folder inside it.")
        _sort_in(path, found)
    return found


def plain_stem(path: Path) -> str:
    """A file's name without its suffix and without what a copy's name adds."""
    stem = path.stem
    while (shorter := _COPY.sub("", stem)) != stem:
        stem = shorter
    return stem


def split_epoch(stem: str) -> tuple[str, int | None]:
    """kohya's output name and the epoch in a checkpoint's plain stem; None where it bears no number."""
    number = _EPOCH.search(stem)
    return (stem[: number.start()], int(number.group(1))) if number else (stem, None)


def _files(folder: Path, found: Found) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        found.refused.append((Path(error.filename), f"cannot be read ({error.strerror})"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (Path(place) / name).is_symlink():
                found.refused.append((Path(place) / name, "is a link to a folder, and links are not followed"))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _sort_in(path: Path, found: Found) -> None:
    kind = path.suffix.lower()
    if kind not in PICTURES | PICKLES | {".safetensors"}:
        return
    if path.is_symlink():
        if not path.resolve().is_relative_to(found.folder):
            found.refused.append((path, "is a link out of the folder"))
        return  # a target inside is met by itself
    if kind in PICKLES:
        found.refused.append((path, "is a pickle: only safetensors files are read"))
    elif kind in PICTURES:
        found.pictures.append(path)
    else:
        found.loras.append(path)
