"""kohya's sd-scripts on the volume: set up once, at one commit, and looked at before each use."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from runs.pod import watch
from runs.pod.place import Over, Place


def set_up(place: Place, trainer: dict[str, Any], log: Path) -> tuple[Path, str]:
    """The folder with `train_network.py` and the Python to run it with. Raises Over where it cannot be had."""
    commit = str(trainer["commit"])
    home = place.volume / "kohya" / commit
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f".{commit}.lock").open("w") as lock:
        _hold(place, lock)  # two pods of one volume do not share a kernel: the move into place decides
        if not _is_whole(home, commit):
            _make(place, trainer, home, log)
    venv = home / ".venv" / "bin" / "python"
    return home, str(venv) if venv.is_file() else sys.executable


def _hold(place: Place, lock: IO[str]) -> None:
    """Wait for the lock no longer than the job has time. A holder that dies lets go of it."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watch.check(place)
            time.sleep(watch.LOOK)
        else:
            return


def _make(place: Place, trainer: dict[str, Any], home: Path, log: Path) -> None:
    draft = home.with_name(f".{home.name}.{place.pod or os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    commit = str(trainer["commit"])
    env = dict(os.environ) | {"GIT_TERMINAL_PROMPT": "0"}
    steps = [
        (place.volume, ["git", "clone", "--quiet", str(trainer["repository"]), str(draft)]),
        (draft, ["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", commit]),
    ]
    for cwd, argv in steps:
        if watch.run(place, argv, cwd=cwd, env=env, log=log):
            raise Over("interrupted", f"kohya could not be fetched: `{' '.join(argv[:3])}` failed, see trainer.log.")
    needs = draft / "requirements.txt"
    if needs.is_file() and needs.read_text(encoding="utf-8").strip():
        # The venv is made where it will stay: its scripts hold their path. Until the mark is there it counts for nothing.
        shutil.rmtree(home, ignore_errors=True)
        os.replace(draft, home)
        draft = home
        for argv in (
            [sys.executable, "-m", "venv", "--system-site-packages", str(draft / ".venv")],
            [str(draft / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "-r", "requirements.txt"],
        ):
            if watch.run(place, argv, cwd=draft, env=env, log=log):
                raise Over("interrupted", "kohya's packages could not be installed, see trainer.log.")
    (draft / ".punklab-whole").write_text(commit)
    if draft != home:
        shutil.rmtree(home, ignore_errors=True)
        os.replace(draft, home)
    if not _is_whole(home, commit):
        raise Over("interrupted", f"kohya at {home.name} is not what its commit names.")


def _is_whole(home: Path, commit: str) -> bool:
    """Whether it was made to the end, and holds that commit with nothing of it changed."""
    try:
        if (home / ".punklab-whole").read_text() != commit:
            return False
        answers = [
            subprocess.run(  # noqa: S603
                ["git", "-C", str(home), *argv],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            ).stdout.strip()
            for argv in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return False
    return answers == [commit, ""]
