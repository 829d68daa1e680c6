"""The whole way of one job on one machine, from preflight to giving the machine back. It never returns."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from runs.pod import kohya, watch
from runs.pod.files import free_bytes, read_json, sha256_of, write_json
from runs.pod.place import Over, Place
from runs.pod.status import Status
from runs.pod.training import Trainer

STARTS = 3  # of this attempt's container
TRIES, PAUSE = 5, 5.0  # at deleting itself; seconds between two
LEAST_TIME = 60.0  # seconds: less is not worth a beginning


def main() -> NoReturn:
    """Do the job unless it is done, then delete this machine, then sleep: a program that ended would be started again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the container is stopped: children end with us
    place = Place.of(os.environ)
    mine = place.mine / "result.json"
    if not place.result.exists() and not mine.exists():
        _do(place)
    _leave(place)


def _do(place: Place) -> None:
    status = None
    try:
        starts = _count_start(place)
        spec = place.spec()
        status = Status(place, int(spec["epochs"]))
        status.tell(total_steps=status.facts["total_steps"] or int(spec["total_steps"]))
        status.start()
        status.event("start", start=starts)
        if starts > STARTS:
            raise Over("interrupted", f"Its container began {starts} times.")
        _work(place, spec, status)
        status.tell(step=max(status.facts["step"], status.facts["total_steps"]))  # of a start that found all made
        over = Over("finished", f"{spec['epochs']} epochs in {_minutes(status)}.")
    except Over as end:
        over = end
    except Exception as error:  # noqa: BLE001 - whatever it is, the machine must be given back, and the site told
        over = Over("interrupted", f"The program broke: {type(error).__name__}: {error}")
    if status is not None:
        status.enter("finishing")
    _write_result(place, status, over)
    if status is not None:
        status.end()


def _work(place: Place, spec: dict[str, Any], status: Status) -> None:
    status.enter("preflight")
    watch.check(place)
    if place.deadline - time.time() < LEAST_TIME:
        raise Over("interrupted", "There is no time left to begin.")
    if status.gpu_trouble:  # another machine may have a sound one
        raise Over("interrupted", f"{status.gpu_trouble}.")
    package = _unpack(place, spec)
    free, need = free_bytes(place.volume), int(spec["need_bytes"])
    if free < need:
        raise Over("failed", f"The volume has {free / 1e9:.1f} GB free and the job needs {need / 1e9:.1f}: enlarge it.")
    status.enter("setup")
    home, python = kohya.set_up(place, spec["trainer"], place.mine / "trainer.log")
    status.enter("caching")
    Trainer(place, spec, status, home / "train_network.py", python).carry_out(package)


def _unpack(place: Place, spec: dict[str, Any]) -> Path:
    """The package on the container's disk, each file compared with the manifest."""
    wanted = spec["package"]
    source = place.volume / str(wanted["key"])
    try:
        if sha256_of(source) != wanted["sha256"]:
            raise Over("interrupted", "The package on the volume is not the one that was sent.")
        target = place.work / "package"
        shutil.rmtree(target, ignore_errors=True)
        with zipfile.ZipFile(source) as archive:
            archive.extractall(target)
        manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
        for file in manifest["files"]:
            content = (target / file["name"]).read_bytes()
            if len(content) != file["size"] or hashlib.sha256(content).hexdigest() != file["sha256"]:
                raise Over("failed", f"{file['name']} of the package is not what its manifest says.")
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise Over("interrupted", f"The package cannot be read: {error}.") from error
    return target


def _count_start(place: Place) -> int:
    place.mine.mkdir(parents=True, exist_ok=True)
    path = place.mine / "starts"
    n = int(read_json(path).get("n", 0)) + 1
    write_json(path, {"n": n})
    return n


def _write_result(place: Place, status: Status | None, over: Over) -> None:
    facts = status.facts if status else {}
    result = {
        "version": 1,
        "job": place.job,
        "attempt": place.attempt,
        "pod": place.pod,
        "state": over.state,
        "reason": over.reason,
        "step": facts.get("step", 0),
        "total_steps": facts.get("total_steps", 0),
        "seconds": status.seconds if status else {},
        "gpu": status.gpu if status else "",
        "files": status.files() if status else [],
        "ts": time.time(),
    }
    path = place.mine / "result.json" if over.state == "interrupted" else place.result
    while True:  # a full or absent volume: nothing else is worth doing before this
        try:
            write_json(path, result)
        except OSError as error:
            if time.time() > place.deadline:
                return
            print(f"the result cannot be written: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the pod's log
            _make_room(place)
            time.sleep(PAUSE)
        else:
            return


def _make_room(place: Place) -> None:
    for state in sorted(place.output.glob("*-state"))[:-1]:
        shutil.rmtree(state, ignore_errors=True)


def _leave(place: Place) -> NoReturn:
    """Delete this machine with its own key; the site does it too. RFC 9110's DELETE: again is the same."""
    for _ in range(TRIES):
        if _delete_self(place):
            break
        time.sleep(PAUSE)
    while True:
        time.sleep(3600)


def _delete_self(place: Place) -> bool:
    parts = urllib.parse.urlsplit(place.api_url)
    is_safe = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (place.pod and place.key and is_safe):
        return True
    request = urllib.request.Request(  # noqa: S310
        f"{place.api_url.rstrip('/')}/pods/{urllib.parse.quote(place.pod)}",
        method="DELETE",
        headers={"Authorization": f"Bearer {place.key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _minutes(status: Status) -> str:
    return f"{status.seconds.get('training', 0.0) / 60:.0f} min of training"
