"""Pairs of PNG and TXT files read from folders that a person filled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runs.caption_pairs import (
    MOST_CAPTION_BYTES,
    MOST_IMAGE_BYTES,
    Pair,
    PairError,
    Problem,
    read_caption,
    read_picture,
)

MOST_FILES = 100_000
T = TypeVar("T")
_OTHER_PICTURES = {".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


class FolderError(Exception):
    """A folder that cannot be read as captions at all."""


@dataclass(frozen=True)
class FilePair:
    """A pair as read, with what is needed to read the picture's bytes again; they are not kept in memory."""

    pair: Pair
    image: Path
    width: int
    height: int


@dataclass(frozen=True)
class Folder:
    """What a folder holds: usable pairs in the order of their stems, and every file that is none."""

    pairs: list[FilePair]
    problems: list[Problem]


def read_folder(captions: Path, images: Path | None = None) -> Folder:
    """All pairs of `captions` (TXT) and `images` (PNG; the same folder when not given), matched by file stem.

    Hidden files, other file types and folders inside are passed over. Raises FolderError when a folder is missing or
    holds more than 100,000 files; anything wrong with a single file becomes a problem.
    """
    problems: list[Problem] = []
    texts = _by_stem(captions, ".txt", problems)
    pictures = _by_stem(images or captions, ".png", problems)
    if not texts and not pictures and not problems:
        raise FolderError(f"{captions}: no PNG and no TXT files here; name the folder that holds the pairs")
    problems += [
        Problem(texts[stem].name, "missing_partner", f"{stem}.png is missing") for stem in texts.keys() - pictures
    ]
    problems += [
        Problem(pictures[stem].name, "missing_partner", f"{stem}.txt is missing") for stem in pictures.keys() - texts
    ]
    stems = sorted(texts.keys() & pictures.keys())
    # Decoding releases the interpreter, so threads share it out over the cores.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        read = list(pool.map(lambda stem: _pair(stem, texts[stem], pictures[stem]), stems))
    pairs = [one for one in read if isinstance(one, FilePair)]
    problems += [problem for one in read if not isinstance(one, FilePair) for problem in one]
    return Folder(pairs, sorted(problems, key=lambda problem: (problem.file, problem.code)))


def _by_stem(folder: Path, suffix: str, problems: list[Problem]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    root = os.path.realpath(folder)
    for entry in _entries(folder):
        name, ending = os.path.splitext(entry.name)
        if suffix == ".png" and ending.lower() in _OTHER_PICTURES:
            problems.append(Problem(_shown(entry.name), "unreadable", "is no PNG; training pictures are PNG files"))
        if ending.lower() != suffix:
            continue
        complaint = _complaint(entry, root) or (f"{found[name].name} has the same name" if name in found else None)
        if complaint:
            problems.append(Problem(_shown(entry.name), "unreadable", complaint))
        else:
            found[name] = Path(entry.path)
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries, start=1):
                if count > MOST_FILES:
                    raise FolderError(
                        f"{folder}: more than {MOST_FILES} files; split the captions into several folders"
                    )
                if not entry.name.startswith("."):
                    yield entry
    except OSError as error:
        raise FolderError(f"{folder}: cannot be read ({error.strerror or error}); name an existing folder") from error


def _complaint(entry: os.DirEntry[str], root: str) -> str | None:
    """Why a file is left alone before it is opened; None when nothing speaks against it."""
    if _shown(entry.name) != entry.name:
        return "has a name that is not UTF-8; rename it"
    if entry.is_symlink() and os.path.commonpath([root, os.path.realpath(entry.path)]) != root:
        return "is a link out of the folder; copy the file itself here"
    try:
        if not entry.is_file():
            return "is no file, or a link to none"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None


def _pair(stem: str, text_file: Path, image: Path) -> FilePair | list[Problem]:
    problems: list[Problem] = []
    picture = _read(image, MOST_IMAGE_BYTES, read_picture, problems)
    text = _read(text_file, MOST_CAPTION_BYTES, read_caption, problems)
    if picture is None or text is None:
        return problems
    return FilePair(Pair(stem, text, picture.cells, picture.sha256), image, picture.width, picture.height)


def _read(path: Path, most: int, reader: Callable[[bytes], T], problems: list[Problem]) -> T | None:
    try:
        return reader(_content(path, most))
    except PairError as error:
        problems.append(Problem(path.name, "unreadable", str(error)))
        return None


def _content(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise PairError(f"cannot be read ({error.strerror or error})") from error
    if len(data) > most:
        raise PairError(f"is larger than {most} bytes")
    return data


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
