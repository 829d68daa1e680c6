"""What ends a job from outside: the site's word, the deadline. Asked often, by whatever takes long."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runs.pod.files import read_json
from runs.pod.place import Over, Place

LOOK = 0.2  # seconds
ENDS_WITHIN = 20.0  # seconds that a child has between being asked to end and being killed


def check(place: Place) -> None:
    """Raises Over when the site has cancelled, or the time is up."""
    control = read_json(place.folder / "control.json")
    if control.get("cancel"):
        raise Over("cancelled", "The site asked for it.")
    given = control.get("deadline")
    deadline = min(place.deadline, float(given)) if isinstance(given, int | float) else place.deadline
    if time.time() > deadline:
        raise Over("interrupted", "The time that it was rented for is over.")


def children_env() -> dict[str, str]:
    """The environment for programs that are not ours: the machine's key is not their business."""
    return {name: value for name, value in os.environ.items() if name != "RUNPOD_API_KEY"}


def run(place: Place, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Run a command that may take long and return its exit status; it is ended when the job is."""
    with log.open("ab") as file:
        child = subprocess.Popen(  # noqa: S603 - the site's own commands
            argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        while child.poll() is None:
            check(place)
            time.sleep(LOOK)
    finally:
        end(child)
    return child.returncode


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child with all that it started; at once where it has ended already."""
    for number, patience in ((signal.SIGTERM, ENDS_WITHIN), (signal.SIGKILL, ENDS_WITHIN)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    child.wait()
