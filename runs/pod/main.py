"""The whole way of one job on one machine, from preflight to giving the machine back. It never returns."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from runs.pod import kohya, watch
from runs.pod.files import free_bytes, read_json, sha256_of, used_bytes, write_json
from runs.pod.leaving import Machine, say
from runs.pod.place import Over, Place
from runs.pod.states import States
from runs.pod.status import Status
from runs.pod.training import Trainer

STARTS = 3  # of this attempt's container
PAUSE, RESULT_WITHIN = 5.0, 300.0  # seconds between two tries at writing the result, and for all of them
LEAST_TIME = 60.0  # seconds: less is not worth a beginning


def main() -> NoReturn:
    """Do the job unless it is done, then delete this machine, then sleep: a program that ended would be started again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the container is stopped: children end with us
    machine = Machine.of(os.environ)
    try:
        place = Place.of(os.environ)
        machine.leave_after(place.deadline)
        if not place.result.exists() and not (place.mine / "result.json").exists():
            _do(place)
    except Exception as error:  # noqa: BLE001 - a volume that is not there, an environment that is none of ours
        say(f"the program cannot begin: {type(error).__name__}: {error}")
    machine.leave()


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
    _end(place, status, over)


def _work(place: Place, spec: dict[str, Any], status: Status) -> None:
    status.enter("preflight")
    watch.check(place)
    if place.deadline - time.time() < LEAST_TIME:
        raise Over("interrupted", "There is no time left to begin.")
    if status.gpu_trouble:  # another machine may have a sound one
        raise Over("interrupted", f"{status.gpu_trouble}.")
    package = _unpack(place, spec)
    free, need = free_bytes(place.volume), int(spec["need_bytes"])
    if free < need and free < (need := need - _there(place, spec)):
        raise Over("failed", f"The volume has {free / 1e9:.1f} GB free and the job needs {need / 1e9:.1f}: enlarge it.")
    status.enter("setup")
    home, python = kohya.set_up(place, spec["trainer"], place.mine / "trainer.log")
    status.enter("caching")
    Trainer(place, spec, status, home / "train_network.py", python).carry_out(package)


def _there(place: Place, spec: dict[str, Any]) -> int:
    """Bytes of what the job needs that lie on the volume already: `need_bytes` is of an empty one."""
    kohyas = place.volume / "kohya" / str(spec["trainer"]["commit"])
    return sum(used_bytes(folder) for folder in (place.folder, place.volume / "models", kohyas))


def _unpack(place: Place, spec: dict[str, Any]) -> Path:
    """The package on the container's disk, each file compared with the manifest."""
    wanted = spec["package"]
    source = place.volume / str(wanted["key"])
    try:
        if sha256_of(source) != wanted["sha256"]:
            source.unlink()  # named after its hash, so it is nothing: the site sends it again for the next machine
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


def _end(place: Place, status: Status | None, over: Over) -> None:
    """Write how it ended, last of all. Where that cannot be written, the machine must not be paid for any longer."""
    say(f"{over.state}: {over.reason}")
    path = place.mine / "result.json" if over.state == "interrupted" else place.result
    until = time.monotonic() + RESULT_WITHIN
    while True:
        try:
            if status is None:
                write_json(path, _result(place, status, over))
            else:
                status.end(lambda: write_json(path, _result(place, status, over)))
        except OSError as error:
            if time.monotonic() > until:
                return
            say(f"the result cannot be written: {error}")
            States(place.output).make_room()
            time.sleep(PAUSE)
        else:
            return


def _result(place: Place, status: Status | None, over: Over) -> dict[str, Any]:
    facts = status.facts if status else {}
    return {
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


def _minutes(status: Status) -> str:
    return f"{status.seconds.get('training', 0.0) / 60:.0f} min of training"
