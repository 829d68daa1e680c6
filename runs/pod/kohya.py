"""kohya's sd-scripts on the volume: set up once, at one commit, and looked at before each use."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from runs.pod import watch
from runs.pod.place import Over, Place

FETCHES = 3
_MARK = ".punklab-whole"
_TRUSTING = ("-c", "safe.directory=*")  # a volume's files may have another owner than the container's user
_PACKAGE = re.compile(r"[<>=!~\[; ]")
# What the pins of sd-scripts 0.9.1 (March 2025) lack on a newer image. Its own package is not installed: the script's
# folder serves, and what lies there can be moved.
_SELF = ("-e .", ".")
_MENDED = {"bitsandbytes": "bitsandbytes==0.45.5"}  # 0.44.0 has no file for CUDA 12.6 and later
_NUMPY = "numpy<2"  # opencv-python 4.8.1 does not import beside numpy 2


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
    """Make it beside and move it into place, so that another machine sees it whole or not at all."""
    draft = home.with_name(f".{home.name}.{place.pod or os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    commit = str(trainer["commit"])
    _fetch(place, [str(trainer["repository"]), str(draft)], log)
    _run(place, ["git", *_TRUSTING, "-C", str(draft), "checkout", "--quiet", "--detach", commit], draft, log)
    if needs := _needs(draft):
        listed = draft / ".punklab-requirements.txt"
        listed.write_text("\n".join(needs) + "\n", encoding="utf-8")
        # The image's own pip serves: a Debian without python3-venv has none to put there.
        argv = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(draft / ".venv")]
        _run(place, argv, draft, log)
        python = str(draft / ".venv/bin/python")
        _run(place, [python, "-m", "pip", "install", "--quiet", "-r", str(listed)], draft, log)
    (draft / _MARK).write_text(commit)
    if not _is_whole(draft, commit):
        raise Over("interrupted", f"kohya at {home.name} is not what its commit names.")
    if not _is_whole(home, commit):  # another machine may have been faster
        shutil.rmtree(home, ignore_errors=True)
        os.replace(draft, home)
    shutil.rmtree(draft, ignore_errors=True)


def _needs(draft: Path) -> list[str]:
    """kohya's requirements, mended; empty where it has none."""
    try:
        lines = (draft / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    wanted = [line for line in wanted if line not in _SELF]
    mended = [_MENDED.get(_PACKAGE.split(line)[0].lower(), line) for line in wanted]
    return [*dict.fromkeys([*mended, _NUMPY])] if wanted else []


def _fetch(place: Place, what: list[str], log: Path) -> None:
    for attempt in range(1, FETCHES + 1):
        try:
            _run(place, ["git", "clone", "--quiet", *what], place.volume, log)
        except Over as over:
            if over.state != "interrupted" or attempt == FETCHES:
                raise
            watch.check(place)
            shutil.rmtree(what[-1], ignore_errors=True)
            time.sleep(attempt)
        else:
            return


def _run(place: Place, argv: list[str], cwd: Path, log: Path) -> None:
    env = watch.children_env() | {"GIT_TERMINAL_PROMPT": "0"}
    if watch.run(place, argv, cwd=cwd, env=env, log=log):
        raise Over("interrupted", f"kohya could not be set up: `{' '.join(argv[:4])}` failed, see trainer.log.")


def _is_whole(home: Path, commit: str) -> bool:
    """Whether it was made to the end, and holds that commit with nothing of it changed."""
    try:
        if (home / _MARK).read_text() != commit:
            return False
        answers = [
            subprocess.run(  # noqa: S603
                ["git", *_TRUSTING, "-C", str(home), *argv],  # noqa: S607
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
