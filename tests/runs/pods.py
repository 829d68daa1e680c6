"""A volume in a folder and pods as processes, for tests of the pod's own program."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from runs.pod_program import program

CONFIG = "max_train_epochs = {epochs}\nsave_every_n_epochs = 1\n"


class Gate(http.server.BaseHTTPRequestHandler):
    """Answers a pod that deletes itself."""

    def do_DELETE(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Volume:
    """A network volume with one job on it."""

    def __init__(self, folder: Path, repository: Path, commit: str, *, epochs: int = 3, **standin: Any) -> None:
        self.folder, self.epochs = folder, epochs
        self.job = folder / "jobs" / "0a1b2c3d-1-1"
        self.job.mkdir(parents=True)
        (folder / "standin.json").write_text(json.dumps(standin))
        package = self.package()
        sha256 = hashlib.sha256(package).hexdigest()
        (folder / "packages").mkdir()
        (folder / "packages" / f"{sha256}.zip").write_bytes(package)
        self.spec = {
            "version": 1,
            "job": self.job.name,
            "kind": "train",
            "package": {"key": f"packages/{sha256}.zip", "size": len(package), "sha256": sha256},
            "output_name": "punks",
            "epochs": epochs,
            "total_steps": epochs * 10,
            "trainer": {"repository": str(repository), "tag": "v0", "commit": commit},
            "need_bytes": 1000,
            "checkpoint_bytes": 100,
            "stall_seconds": 5,
        }
        self.write_spec()
        name, content = program()
        self.program = folder / f"{name}.pyz"
        self.program.write_bytes(content)
        self.gate = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate)
        self.gate.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=self.gate.serve_forever, daemon=True).start()
        self.pods: list[subprocess.Popen[bytes]] = []

    def package(self, spoil: str = "") -> bytes:
        files = {
            "training_config.toml": CONFIG.format(epochs=self.epochs).encode(),
            "train_data/1_punk/a.txt": b"a punk",
        }
        listed = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        ]
        if spoil:
            files[spoil] += b"!"
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            archive.writestr("manifest.json", json.dumps({"version": 1, "files": listed}))
        return out.getvalue()

    def write_spec(self) -> None:
        (self.job / "spec.json").write_text(json.dumps(self.spec))

    @property
    def deletions(self) -> list[tuple[str, str]]:
        return list(self.gate.asked)  # type: ignore[attr-defined]

    def start(
        self, tmp: Path, *, attempt: int = 1, seconds: float = 600, spec_sha256: str = "", **more: str
    ) -> subprocess.Popen[bytes]:
        """A pod's process, in a session of its own."""
        tmp.mkdir(parents=True, exist_ok=True)
        host, port = self.gate.server_address[:2]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp),
            "TMPDIR": str(tmp),
            "LORA_VOLUME_DIR": str(self.folder),
            "LORA_JOB": self.job.name,
            "LORA_ATTEMPT": str(attempt),
            "LORA_SPEC_SHA256": spec_sha256 or hashlib.sha256((self.job / "spec.json").read_bytes()).hexdigest(),
            "LORA_DEADLINE": str(time.time() + seconds),
            "LORA_API_URL": f"http://{host!s}:{port}",
            "RUNPOD_POD_ID": f"pod{len(self.pods) + 1}",
            "RUNPOD_API_KEY": "pods-own",
            **more,
        }
        pod = subprocess.Popen([sys.executable, str(self.program)], env=env, start_new_session=True)
        self.pods.append(pod)
        return pod

    def kill(self, pod: subprocess.Popen[bytes]) -> None:
        """As when its host is lost: everything at once, children with sessions of their own too."""

        for child in [*psutil.Process(pod.pid).children(recursive=True), psutil.Process(pod.pid)]:
            child.send_signal(signal.SIGKILL)
        pod.wait()

    def until(self, ask: Callable[[], Any], seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        while not (found := ask()):
            assert time.monotonic() < end, (self.job / "a1" / "trainer.log").read_text()[-2000:]
            time.sleep(0.02)
        return found

    def result(self, seconds: float = 30) -> dict[str, Any]:
        path = self.job / "result.json"
        return json.loads(self.until(lambda: path.exists() and path.read_text(), seconds))

    def status(self, attempt: int = 1) -> dict[str, Any]:
        path = self.job / f"a{attempt}" / "status.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def events(self, attempt: int = 1) -> list[dict[str, Any]]:
        path = self.job / f"a{attempt}" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def close(self) -> None:
        for pod in self.pods:
            if pod.poll() is None:
                self.kill(pod)
        self.gate.shutdown()
        self.gate.server_close()
