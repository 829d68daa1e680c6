"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any


class ChangedFileError(OSError):
    """A file did not hold what it held a moment before."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes in hex digits, read a piece at a time. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, readable by all; a reader sees the old file or the new one. Raises OSError."""
    with _beside(path) as file:
        file.write(content)


def copy_whole(source: Path, target: Path, sha256: str) -> None:
    """Copy `source` to `target`. Raises OSError, and ChangedFileError when the bytes copied are not those of `sha256`."""
    with source.open("rb") as original, _beside(target) as file:
        shutil.copyfileobj(original, file, 2**20)
        file.flush()
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ChangedFileError(f"{source} changed while it was copied.")


def link_whole(source: Path, target: Path, sha256: str) -> None:
    """Make `target` the same file as `source` by a hard link, or a copy where the file system has none.

    Only for a source that is never written in place. Raises what `copy_whole` raises.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    link = target.with_name(f".{target.name}.{os.getpid()}.link")
    try:
        link.unlink(missing_ok=True)
        os.link(source, link)
    except OSError:
        copy_whole(source, target, sha256)
        return
    os.replace(link, target)
    link.unlink(missing_ok=True)  # rename(2) leaves both names when they are one file already
    _sync_folder(target.parent)


@contextmanager
def _beside(path: Path) -> Iterator[Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name.encode()[:200].decode(errors="ignore")  # with what is added below the 255 bytes of a name
    with NamedTemporaryFile(dir=path.parent, prefix=f".{name}.", suffix=".part", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(file.name).unlink()
            raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
