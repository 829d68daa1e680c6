"""What this machine was started for, and where its files lie."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Over(Exception):  # noqa: N818 - not an error: how a job ends
    """The job is over on this machine: `state` as `result.json` names it, `reason` a sentence for people."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


@dataclass(frozen=True)
class Place:
    """The environment's facts. `deadline`: Unix time."""

    volume: Path
    job: str
    attempt: int
    spec_sha256: str
    deadline: float
    pod: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """Raises KeyError and ValueError for an environment that is none of ours."""
        return cls(
            volume=Path(environment.get("LORA_VOLUME_DIR", "/workspace")),
            job=environment["LORA_JOB"],
            attempt=int(environment["LORA_ATTEMPT"]),
            spec_sha256=environment["LORA_SPEC_SHA256"],
            deadline=float(environment["LORA_DEADLINE"]),
            pod=environment.get("RUNPOD_POD_ID", ""),
        )

    @property
    def folder(self) -> Path:
        return self.volume / "jobs" / self.job

    @property
    def mine(self) -> Path:
        """This attempt's folder."""
        return self.folder / f"a{self.attempt}"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def ckpt(self) -> Path:
        return self.folder / "ckpt"

    @property
    def output(self) -> Path:
        """Where the trainer writes: its epochs until they are whole, its states."""
        return self.folder / "state"

    @property
    def work(self) -> Path:
        """On the container's own disk: gone with the container."""
        return Path(tempfile.gettempdir()) / f"lora-{self.job}"

    def spec(self) -> dict[str, Any]:
        """What is to be done. Raises Over where the file is not the one that the site wrote."""
        try:
            content = (self.folder / "spec.json").read_bytes()
        except OSError as error:
            raise Over("interrupted", f"spec.json cannot be read: {error.strerror}.") from error
        if hashlib.sha256(content).hexdigest() != self.spec_sha256:
            raise Over("interrupted", "spec.json is not the one that this machine was started for.")
        spec: dict[str, Any] = json.loads(content)
        return spec
