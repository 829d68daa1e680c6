"""Training on machines rented from RunPod: its REST API v2 for pods, S3 for what they read and write.

`docs/pod.md` is the contract with the program on the pod.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from runs.backends import runpod_api
from runs.backends.base import (
    Accepted,
    Answer,
    BackendError,
    Later,
    Machine,
    MachineState,
    NoCapacity,
    Offer,
    Refused,
    Unknown,
)
from runs.backends.runpod_api import Pod, PodRequest, RunPod, RunPodError
from runs.backends.volume import Volume, VolumeError
from runs.lease_names import key_in, leases_of_folder
from runs.models import Lease, TrainingJob
from runs.offers import no_offer_sentence, offers_from
from runs.package import build_package, spec_of
from runs.pod_program import program
from runs.pod_reports import PodFile, Report, ReportError, read_events, read_result, read_status

MOUNT = "/workspace"
OFFERS_KEPT = 60.0  # seconds that one look at the catalog serves
BEFORE_DEADLINE = timedelta(minutes=4)  # the pod ends itself before the controller would, and that before the deadline
LOG_LINES = 100
UNREACHABLE = 30.0  # seconds until the next try
_STATES = {"PROVISIONING": MachineState.STARTING, "STARTING": MachineState.STARTING, "RUNNING": MachineState.RUNNING}


class RunPodBackend:
    """The account that the settings name. Every method raises BackendError where they do not name one."""

    name = "runpod"

    def __init__(self) -> None:
        self._offers: tuple[float, list[Offer]] = (0.0, [])
        self._volumes: dict[str, Volume] = {}
        self._api: RunPod | None = None

    def close(self) -> None:
        """Close every connection; the next call opens them again."""
        if self._api is not None:
            self._api.close()
            self._api = None
        for volume in self._volumes.values():
            volume.close()
        self._volumes.clear()

    def offers(self, job: TrainingJob) -> Sequence[Offer]:
        """The catalog's machines where a volume of ours lies; a job that goes on stays with the volume that it began on."""
        looked, offers = self._offers
        if time.monotonic() - looked > OFFERS_KEPT or not offers:
            offers = self._catalog()
            self._offers = (time.monotonic(), offers)
        begun = leases_of_folder(job).exclude(machine="").filter(emptied_at=None).values_list("volume", flat=True)
        kept = set(begun)
        return [offer for offer in offers if not kept or offer.volume in kept]

    def why_none(self) -> str:
        """Why nothing could be rented just now, a sentence."""
        api = self._account()
        with _saying():
            return no_offer_sentence(api.gpus(), api.stock(), settings.RUNPOD_VOLUMES, settings.RUNPOD_GPUS)

    def stage(self, lease: Lease) -> None:
        volume, job = self._volume(lease.volume), lease.job
        sha256, pyz = program()
        package = build_package(job)
        spec = spec_of(job, key_in(lease), package)
        with _saying():
            for key, content in (
                (f"programs/{sha256}.pyz", pyz),
                (json.loads(spec)["package"]["key"], package),
                (f"jobs/{key_in(lease)}/spec.json", spec),
            ):
                if volume.size(key) != len(content) or key.endswith("spec.json"):
                    volume.put(key, content)
            volume.delete(f"jobs/{key_in(lease)}/control.json")

    def submit(self, lease: Lease) -> Answer:
        try:
            pod = self._account().create(self._request(lease))
        except runpod_api.RateLimitedError as error:
            return Later(str(error), error.seconds)
        except (runpod_api.NoCapacityError, runpod_api.ForbiddenError) as error:
            return NoCapacity(str(error))
        except runpod_api.UnreachableError as error:
            return Later(str(error), UNREACHABLE)
        except runpod_api.UnansweredError as error:
            return Unknown(str(error))
        except (RunPodError, BackendError) as error:
            return Refused(str(error))
        return Accepted(_machine(pod))

    def observe(self) -> Sequence[Machine]:
        with _saying():
            return [_machine(pod) for pod in self._account().pods()]

    def release(self, machine: str) -> bool:
        with _saying():
            return self._account().delete(machine)

    def report(self, lease: Lease) -> Report:
        volume, folder = self._volume(lease.volume), f"jobs/{key_in(lease)}"
        attempt = f"{folder}/a{lease.attempt}"
        with _saying():
            status = _parsed(volume.get(f"{attempt}/status.json"))
            events = volume.read_from(f"{attempt}/events.jsonl", lease.events_read) if status else b""
            result = _parsed(volume.get(f"{folder}/result.json")) or _parsed(volume.get(f"{attempt}/result.json"))
        losses, problems, n_read = read_events(events)
        try:
            return Report(
                status=read_status(status) if status else None,
                result=read_result(result) if result else None,
                losses=losses,
                problems=problems,
                events_read=lease.events_read + n_read,
            )
        except ReportError as error:
            return Report(events_read=lease.events_read, trouble=str(error))

    def request_stop(self, lease: Lease) -> None:
        with _saying():
            self._volume(lease.volume).put(f"jobs/{key_in(lease)}/control.json", b'{"cancel": true}')

    def written(self, lease: Lease) -> Sequence[tuple[str, int]]:
        prefix = f"jobs/{key_in(lease)}/ckpt/"
        with _saying():
            found = self._volume(lease.volume).keys(prefix)
        return [(key.removeprefix(prefix), size) for key, size in found if key.endswith(".safetensors")]

    def collect(self, lease: Lease, file: PodFile, target: Path) -> None:
        key = f"jobs/{key_in(lease)}/ckpt/{file.name}"
        with _saying():
            self._volume(lease.volume).download(key, target, size=file.size, sha256=file.sha256)

    def clear_result(self, lease: Lease) -> None:
        with _saying():
            self._volume(lease.volume).delete(f"jobs/{key_in(lease)}/result.json")

    def empty(self, lease: Lease) -> None:
        with _saying():
            self._volume(lease.volume).delete_folder(f"jobs/{key_in(lease)}/")

    def log_tail(self, lease: Lease) -> str:
        if not lease.machine:
            return ""
        with _saying():
            return "\n".join(line.text for line in self._account().log_lines(lease.machine, tail=LOG_LINES))

    def _account(self) -> RunPod:
        if not settings.RUNPOD_API_KEY:
            raise BackendError(
                "RUNPOD_API_KEY is not set: make a restricted key in RunPod's console under Settings, API Keys."
            )
        if self._api is None:
            with _saying():
                self._api = RunPod(settings.RUNPOD_API_URL, settings.RUNPOD_API_KEY)
        return self._api

    def _volume(self, name: str) -> Volume:
        if not (settings.RUNPOD_S3_ACCESS_KEY and settings.RUNPOD_S3_SECRET_KEY):
            raise BackendError(
                "RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY are not set: make an S3 API key in RunPod's console "
                "under Settings, S3 API Keys."
            )
        if name not in self._volumes:
            center = next((each["data_center"] for each in settings.RUNPOD_VOLUMES if each["id"] == name), None)
            if center is None:
                raise BackendError(f"The volume {name!r} is not among RUNPOD_VOLUMES any more: put it back.")
            self._volumes[name] = Volume(
                settings.RUNPOD_S3_ENDPOINT.format(dc=center.lower()),
                center,
                name,
                settings.RUNPOD_S3_ACCESS_KEY,
                settings.RUNPOD_S3_SECRET_KEY,
            )
        return self._volumes[name]

    def _catalog(self) -> list[Offer]:
        api = self._account()
        with _saying():
            return offers_from(api.gpus(), api.stock(), settings.RUNPOD_VOLUMES, settings.RUNPOD_GPUS)

    def _request(self, lease: Lease) -> PodRequest:
        sha256, _ = program()
        assert lease.deadline_at is not None
        spec = spec_of(lease.job, key_in(lease), build_package(lease.job))
        return PodRequest(
            name=lease.name,
            image=settings.RUNPOD_IMAGE,
            gpu=lease.gpu,
            data_center=lease.data_center,
            volume=lease.volume,
            mount=MOUNT,
            disk=settings.RUNPOD_DISK_GB,
            args=f"python3 {MOUNT}/programs/{sha256}.pyz",
            env={
                "LORA_JOB": key_in(lease),
                "LORA_ATTEMPT": str(lease.attempt),
                "LORA_SPEC_SHA256": hashlib.sha256(spec).hexdigest(),
                "LORA_DEADLINE": str(int((lease.deadline_at - BEFORE_DEADLINE).timestamp())),
                "LORA_API_URL": settings.RUNPOD_API_URL,
            },
        )


@contextmanager
def _saying() -> Iterator[None]:
    """Turn what the clients raise into what the contract promises; their messages are sentences already."""
    try:
        yield
    except (RunPodError, VolumeError) as error:
        raise BackendError(str(error)) from error


def _machine(pod: Pod) -> Machine:
    return Machine(
        id=pod.id,
        name=pod.name,
        state=_STATES.get(pod.status, MachineState.ENDED),
        phase=pod.status.lower(),
        price=pod.cost,
        created=pod.created_at,
    )


def _parsed(content: bytes | None) -> Mapping[str, Any] | None:
    """A JSON object; None for what is no whole one: it is written again soon."""
    try:
        parsed = json.loads(content or b"null")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
