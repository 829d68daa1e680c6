"""The trainer's saved states: which are whole, which to go on from, which may go."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from runs.pod.files import read_json, sha256_of, sync, write_json

KEPT = 2
_NAME = re.compile(r"-(\d{6})-state$")
_MARK = ".whole.json"


class States:
    """The folders `NAME-000002-state` beside the epochs that the trainer writes; kohya writes them in place."""

    def __init__(self, output: Path) -> None:
        self.output, self.kept = output, KEPT

    def mark(self, begun: int) -> None:
        """Mark what was saved before epoch `begun`: the trainer went on, so it had been written to the end."""
        for state in self._all():
            if epoch_of(state) < begun and not (state / _MARK).exists():
                with contextlib.suppress(OSError):  # a full volume: the one before serves
                    _mark(state)
        self._keep_last()

    def newest(self, below: int) -> Path | None:
        """The newest state of an epoch below that holds what its mark says. Every later one goes: it would be
        written over while it counted as whole."""
        for state in reversed(self._all()):
            if epoch_of(state) < below and _is_whole(state):
                return state
            shutil.rmtree(state, ignore_errors=True)
        return None

    def make_room(self) -> bool:
        """Delete all but the newest marked state, and keep one from now on; say whether anything was deleted."""
        self.kept = 1
        marked = self._marked()
        found = [state for state in self._all() if state not in marked[-1:]]
        for state in found:
            shutil.rmtree(state, ignore_errors=True)
        return bool(found)

    def drop_last(self) -> None:
        """Delete the states without a number, from which no training goes on."""
        for state in self.output.glob("*-state"):
            if not _NAME.search(state.name):
                shutil.rmtree(state, ignore_errors=True)

    def _all(self) -> list[Path]:
        found = [path for path in self.output.glob("*-state") if path.is_dir() and _NAME.search(path.name)]
        return sorted(found, key=epoch_of)

    def _marked(self) -> list[Path]:
        return [state for state in self._all() if (state / _MARK).exists()]

    def _keep_last(self) -> None:
        marked = self._marked()
        if not marked:
            return
        for state in self._all():
            if epoch_of(state) < epoch_of(marked[-1]) and state not in marked[-self.kept :]:
                shutil.rmtree(state, ignore_errors=True)


def epoch_of(state: Path) -> int:
    """The epoch after which a state was saved."""
    found = _NAME.search(state.name)
    return int(found[1]) if found else 0


def _mark(state: Path) -> None:
    hashes = {}
    for path in sorted(state.rglob("*")):
        if path.is_file() and path.name != _MARK:
            sync(path)
            hashes[str(path.relative_to(state))] = sha256_of(path)
    write_json(state / _MARK, hashes)


def _is_whole(state: Path) -> bool:
    """Whether it holds what its mark says: a host that was lost may have taken what was not on the disk yet."""
    hashes = read_json(state / _MARK)
    try:
        return bool(hashes) and all(sha256_of(state / name) == sha256 for name, sha256 in hashes.items())
    except OSError:
        return False
