"""The simulated account: pods as processes, volumes as folders, stock, balance, a price meter, faults to come.

Follows RunPod's REST v2 (its OpenAPI document of August 2026); shares no code with the client that is tried against it.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

GPUS = {
    "NVIDIA GeForce RTX 4090": ("RTX 4090", 24, 0.69),
    "NVIDIA RTX A5000": ("RTX A5000", 24, 0.27),
    "NVIDIA GeForce RTX 3090": ("RTX 3090", 24, 0.46),
}
CENTERS = {"EU-RO-1": "EUROPE", "US-KS-2": "NORTH_AMERICA", "EU-CZ-1": "EUROPE"}
_LIBC = ctypes.CDLL(None)


def _die_with_parent():
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass
class Pod:
    id: str
    request: dict
    price: float
    created: float
    key: str = field(default_factory=lambda: "pod_" + secrets.token_hex(8))
    status: str = "PROVISIONING"
    process: subprocess.Popen | None = None
    started: float | None = None
    deleted: float | None = None
    restarts: int = 0
    exits_stay: bool = False

    def cost(self, now, scale):
        return self.price * ((self.deleted or now) - self.created) * scale / 3600


@dataclass
class Fault:
    """One thing that goes wrong: the n-th matching request (1 is the next), or each with a probability."""

    do: str  # status, delay, drop_before, drop_after, html
    method: str = ".*"
    path: str = ".*"
    nth: int = 0
    probability: float = 0.0
    status: int = 500
    seconds: float = 0.0
    detail: str = "simulated"
    seen: int = 0

    def strikes(self, method, path, rng):
        if not (re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        self.seen += 1
        return self.seen == self.nth if self.nth else rng.random() < self.probability


class World:
    def __init__(self, state: Path, *, scale=1.0, seed=0, openapi: Path | None = None):
        self.state, self.scale, self.rng = state, scale, random.Random(seed)
        self.key, self.s3_access = "rpa_" + secrets.token_hex(12), "user_" + secrets.token_hex(8)
        self.s3_secret = "rps_" + secrets.token_hex(16)
        self.pods: dict[str, Pod] = {}
        self.gone: list[Pod] = []
        self.stock = {center: dict.fromkeys(GPUS, "HIGH") for center in CENTERS}
        self.volumes: dict[str, dict] = {}
        self.faults: list[Fault] = []
        self.requests: dict[str, int] = {}
        self.violations: list[str] = []
        self.provision, self.pull, self.hidden, self.balance = 0.1, 0.1, 0.0, True
        self.page = 0  # pods on a page of the list; 0: all
        self.lock = threading.RLock()
        self.url = ""
        self.openapi = json.loads(openapi.read_text()) if openapi and openapi.is_file() else None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # Volumes ---------------------------------------------------------------------------------------------------------

    def add_volume(self, name, center, size=50, volume_id=None):
        volume_id = volume_id or secrets.token_hex(5)
        self.volumes[volume_id] = {
            "id": volume_id,
            "name": name,
            "size": size,
            "dataCenter": center,
            "type": "STANDARD",
        }
        self.folder(volume_id).mkdir(parents=True, exist_ok=True)
        return self.volumes[volume_id]

    def folder(self, volume_id):
        return self.state / "volumes" / volume_id

    # Pods ------------------------------------------------------------------------------------------------------------

    def start(self):
        self._thread.start()

    def create(self, request):
        pod = Pod(id=secrets.token_hex(7), request=request, price=GPUS[request["gpu"]["id"]][2], created=time.time())
        self.pods[pod.id] = pod
        return pod

    def delete(self, pod):
        self._kill(pod)
        pod.deleted, pod.status = time.time(), "TERMINATED"
        self.pods.pop(pod.id, None)
        self.gone.append(pod)

    def visible(self):
        now = time.time()
        return [pod for pod in self.pods.values() if now - pod.created >= self.hidden]

    def spend(self):
        now = time.time()
        return {pod.id: pod.cost(now, self.scale) for pod in [*self.pods.values(), *self.gone]}

    def processes(self):
        return [
            pod.process.pid for pod in [*self.pods.values(), *self.gone] if pod.process and pod.process.poll() is None
        ]

    def shown(self, pod):
        """A pod as the API shows it."""
        request = pod.request
        is_live = pod.status in ("PROVISIONING", "STARTING", "RUNNING")
        legal = {
            "RUNNING": ["stop", "restart", "terminate"],
            "EXITED": ["start", "terminate"],
            "ERROR": ["start", "terminate"],
        }
        return {
            "id": pod.id,
            "name": request["name"],
            "status": pod.status,
            "actions": legal.get(pod.status, ["stop", "terminate"]),
            "image": request["image"],
            "args": request.get("args", ""),
            "disk": request.get("disk", 0),
            "mounts": request.get("mounts", {}),
            "ports": request.get("ports", []),
            "env": request.get("env", {}),
            "registry": None,
            "gpu": request["gpu"],
            "cloud": "SECURE",
            "dataCenterId": request["dataCenterIds"][0],
            "cudaVersion": None,
            "ssh": {"proxy": None, "direct": None},
            "template": None,
            "cost": pod.price if is_live else 0.0,
            "locked": False,
            "globalNetworking": {"enabled": False},
            "runtime": None,
            "createdAt": _iso(pod.created),
            "startedAt": _iso(pod.started) if pod.started else None,
        }

    def vanish(self, pod):
        """Its host is lost: nothing of it answers any more."""
        self.delete(pod)

    def exit(self, pod):
        self._kill(pod)
        pod.status, pod.exits_stay = "EXITED", True

    def kill_process(self, pod):
        self._kill(pod)

    def log_of(self, pod):
        return self.state / "pods" / pod.id / "log"

    def close(self):
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with self.lock:
            for pod in list(self.pods.values()):
                self.delete(pod)

    def _run(self):
        while not self._over.wait(0.02):
            with self.lock:
                for pod in list(self.pods.values()):
                    self._advance(pod)

    def _advance(self, pod):
        age = time.time() - pod.created
        if pod.status == "PROVISIONING" and age > self.provision:
            pod.status = "STARTING"
        elif pod.status == "STARTING" and age > self.provision + self.pull:
            pod.status = "RUNNING"
            self._launch(pod)
        elif pod.status == "RUNNING" and (pod.process is None or pod.process.poll() is not None) and not pod.exits_stay:
            pod.restarts += 1  # a container is started again whenever its program ends
            self._launch(pod)

    def _launch(self, pod):
        request = pod.request
        mount = request["mounts"]["network"][0]
        volume, home = self.folder(mount["volumeId"]), self.state / "pods" / pod.id / "container"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        argv = [
            word.replace(mount["path"], str(volume), 1) if word.startswith(mount["path"]) else word
            for word in request["args"].split()
        ]
        argv[0] = sys.executable if argv[0] == "python3" else argv[0]
        env = {
            **request.get("env", {}),
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "RUNPOD_POD_ID": pod.id,
            "RUNPOD_API_KEY": pod.key,
            "RUNPOD_DC_ID": request["dataCenterIds"][0],
            "RUNPOD_VOLUME_ID": mount["volumeId"],
            "LORA_VOLUME_DIR": str(volume),
        }
        with self.log_of(pod).open("ab") as log:
            pod.process = subprocess.Popen(
                argv, env=env, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        pod.started = time.time()

    def _kill(self, pod):
        """End a container with everything in it, sessions of their own too."""
        if pod.process is None:
            return
        for pid in [*_descendants(pod.process.pid), pod.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        pod.process.wait()


def _descendants(root):
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _iso(moment):
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
