"""A provider of rented machines in memory, on the test's own clock: machines, their programs, a volume, a price meter.

It keeps to `runs.backends.base.Backend`, whose real one is tried against the simulator of RunPod. Here hours pass in
milliseconds, so that every order of events can be played through.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import time_machine
from django.utils import timezone

from punklab.files import write_whole
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
from runs.controller import ControlLoop
from runs.lease_names import key_in
from runs.models import Lease, TrainingJob
from runs.pod_reports import PodFile, PodResult, PodStatus, Report
from tests.factories import make_job, make_run, write_lora

PRICE = Decimal("0.60")
TICK = timedelta(seconds=30)


class Lab:
    """A provider, a controller and the clock that both see."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock = clock
        self.provider = Provider()
        self.loop = ControlLoop(self.provider)

    def pass_(self, time: timedelta) -> None:
        self.clock.shift(time)

    def until(self, ask: Callable[[], bool], most: timedelta = timedelta(hours=12)) -> None:
        """Tick until `ask` answers truly."""
        end = timezone.now() + most
        while not ask():
            assert timezone.now() < end, "it never came to that"
            self.loop.tick()
            self.pass_(TICK)

    def until_over(self, job: TrainingJob) -> TrainingJob:
        def over() -> bool:
            job.refresh_from_db()
            return job.status in TrainingJob.FINAL and not Lease.objects.open().exists()

        self.until(over)
        assert not self.provider.live()
        return job


def rented_job(*, epochs: int = 3, **overrides: object) -> TrainingJob:
    run = make_run(max_train_epochs=epochs, output_name="punk")
    return make_job(run=run, backend="runpod", max_hours=2.0, **overrides)


@dataclass
class Folder:
    """A job's folder on the volume: what programs wrote."""

    files: dict[str, bytes] = field(default_factory=dict)
    told: list[PodFile] = field(default_factory=list)  # the files that the status names
    statuses: dict[int, PodStatus] = field(default_factory=dict)
    losses: dict[int, list[tuple[int, int, float]]] = field(default_factory=dict)
    result: PodResult | None = None
    interrupted: dict[int, PodResult] = field(default_factory=dict)
    stop: bool = False


@dataclass
class Pod:
    id: str
    name: str
    attempt: int
    key: str
    created: datetime
    worked: datetime  # until here its program has been played
    deadline: datetime | None
    epochs: int
    seq: int = 0
    into_epoch: float = 0.0  # seconds
    state: MachineState = MachineState.STARTING
    visible_after: datetime | None = None
    dies_at: datetime | None = None  # its program writes no more from then on
    death: str = ""  # "silent", "ended", "vanish"
    gone: datetime | None = None


class Provider:
    """One account with one volume. `faults` are asked by name at each call; None: all goes well."""

    name = "runpod"
    BOOT, EPOCH, EVERY = 60.0, 300.0, 5.0  # seconds

    def __init__(self, faults: random.Random | None = None) -> None:
        self.faults = faults
        self.pods: list[Pod] = []
        self.folders: dict[str, Folder] = {}
        self.capacity: list[Offer] = [
            Offer(gpu="RTX 4090", data_center="EU-1", volume="vol1", price=PRICE, stock="HIGH"),
            Offer(gpu="RTX A5000", data_center="EU-1", volume="vol1", price=Decimal("0.30"), stock="LOW"),
        ]
        self.answers: list[str] = []  # of the next requests: lost, made-unheard, none, later, refused, twice
        self.calls: dict[str, int] = {}
        self.down = False
        self.ends_itself = True
        self.hidden = timedelta(0)  # after a machine was made
        self.release_fails = 0  # of the next calls
        self.written_ever: dict[str, dict[str, str]] = {}  # folder, name, SHA-256

    # What a test looks at --------------------------------------------------------------------------------------------

    def live(self) -> list[Pod]:
        self._play()
        return [pod for pod in self.pods if pod.gone is None]

    def spent(self) -> Decimal:
        """US dollars by the provider's own meter."""
        now = timezone.now()
        hours = (Decimal(((pod.gone or now) - pod.created).total_seconds()) / 3600 for pod in self.pods)
        return sum(hours, Decimal(0)) * PRICE

    # The contract ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        pass

    def offers(self, job: TrainingJob) -> Sequence[Offer]:
        self._call("offers")
        return self.capacity

    def why_none(self) -> str:
        return "No data centre has one."

    def stage(self, lease: Lease) -> None:
        self._call("stage")
        self.folders.setdefault(key_in(lease), Folder())

    def submit(self, lease: Lease) -> Answer:
        self.calls["submit"] = self.calls.get("submit", 0) + 1
        answer = self.answers.pop(0) if self.answers else self._pick(("lost", "made-unheard", "none", "later"), 0.25)
        match answer:
            case "none":
                return NoCapacity("There are no longer any instances available.")
            case "later":
                return Later("Too many requests.", 20.0)
            case "refused":
                return Refused("The account is empty.")
            case "lost":
                return Unknown("timeout")
        pod = self._make(lease)
        if answer == "twice":
            self._make(lease)
        return Unknown("timeout") if answer in ("made-unheard", "twice") else Accepted(self._listed(pod))

    def observe(self) -> Sequence[Machine]:
        self._call("observe")
        now = timezone.now()
        return [self._listed(pod) for pod in self.live() if pod.visible_after is None or pod.visible_after < now]

    def release(self, machine: str) -> bool:
        self._call("release")
        if self.release_fails:
            self.release_fails -= 1
            raise BackendError("release: no answer.")
        for pod in self.live():
            if pod.id == machine:
                if pod.visible_after and timezone.now() < pod.visible_after:
                    return False
                pod.gone = timezone.now()
                self._call("release answered")
                return True
        return False

    def report(self, lease: Lease) -> Report:
        self._call("report")
        self._play()
        folder = self.folders.get(key_in(lease), Folder())
        losses = folder.losses.get(lease.attempt, [])
        return Report(
            status=folder.statuses.get(lease.attempt),
            result=folder.result or folder.interrupted.get(lease.attempt),
            losses=tuple(losses[lease.events_read :]),
            events_read=len(losses),
        )

    def request_stop(self, lease: Lease) -> None:
        self._call("request_stop")
        self._play()
        self.folders[key_in(lease)].stop = True

    def written(self, lease: Lease) -> Sequence[tuple[str, int]]:
        self._call("written")
        folder = self.folders.get(key_in(lease), Folder())
        return [(name, len(content)) for name, content in folder.files.items()]

    def collect(self, lease: Lease, file: PodFile, target: Path) -> None:
        self._call("collect")
        content = self.folders[key_in(lease)].files[file.name]
        if file.sha256 and hashlib.sha256(content).hexdigest() != file.sha256:
            raise BackendError(f"{file.name} does not have the bytes that it was written with.")
        write_whole(target, content)

    def clear_result(self, lease: Lease) -> None:
        self._call("clear_result")
        self.folders[key_in(lease)].result = None
        self.folders[key_in(lease)].stop = False

    def empty(self, lease: Lease) -> None:
        self._call("empty")
        self.folders.pop(key_in(lease), None)

    def log_tail(self, lease: Lease) -> str:
        return ""

    # Machines and their programs -------------------------------------------------------------------------------------

    def _call(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.down or self._pick((name,), 0.1):
            raise BackendError(f"{name}: no answer.")

    def _pick(self, names: Sequence[str], chance: float) -> str:
        if self.faults is None or self.faults.random() > chance:
            return ""
        return self.faults.choice(names)

    def _make(self, lease: Lease) -> Pod:
        now = timezone.now()
        pod = Pod(
            id=f"pod{len(self.pods) + 1}",
            name=lease.name,
            attempt=lease.attempt,
            key=key_in(lease),
            created=now,
            worked=now + timedelta(seconds=self.BOOT),
            deadline=lease.deadline_at,
            epochs=lease.job.run.epochs,
        )
        if self.hidden:
            pod.visible_after = now + self.hidden
        if self.faults and self.faults.random() < 0.3:
            pod.visible_after = now + timedelta(seconds=self.faults.uniform(0, 120))
        if self.faults and self.faults.random() < 0.5:
            pod.dies_at = now + timedelta(seconds=self.faults.uniform(0, 1000))
            pod.death = self.faults.choice(("silent", "ended", "vanish"))
        self.pods.append(pod)
        return pod

    def _listed(self, pod: Pod) -> Machine:
        return Machine(
            id=pod.id,
            name=pod.name,
            state=pod.state,
            phase=pod.state.value,
            price=PRICE,
            created=pod.created.isoformat(),
        )

    def _play(self) -> None:
        now = timezone.now()
        for pod in self.pods:
            end = min(now, pod.gone or now, pod.dies_at or now)
            while pod.gone is None and pod.worked + timedelta(seconds=self.EVERY) <= end:
                pod.state = MachineState.RUNNING
                pod.worked += timedelta(seconds=self.EVERY)
                self._work(pod)
            if pod.gone is None and pod.dies_at and now >= pod.dies_at:
                if pod.death == "vanish":
                    pod.gone = pod.dies_at
                elif pod.death == "ended":
                    pod.state = MachineState.ENDED

    def _work(self, pod: Pod) -> None:
        folder = self.folders.setdefault(pod.key, Folder())
        if folder.result is None:
            pod.into_epoch += self.EVERY
            if folder.stop:
                folder.result = self._result(pod, folder, "cancelled", "The site asked for it.")
            elif pod.into_epoch >= self.EPOCH:
                pod.into_epoch = 0
                self._save_epoch(pod, folder)
            self._write(pod, folder)
        if folder.result is not None and self.ends_itself:
            pod.gone = pod.worked

    def _save_epoch(self, pod: Pod, folder: Folder) -> None:
        epoch = len(folder.files) + 1
        name = f"punk-{epoch:06d}.safetensors" if epoch < pod.epochs else "punk.safetensors"
        content = lora(epoch)
        folder.files[name] = content
        digest = hashlib.sha256(content).hexdigest()
        self.written_ever.setdefault(pod.key, {})[name] = digest
        if self._pick(("untold",), 0.2):  # killed between the file and the status
            pod.dies_at, pod.death = pod.worked, "ended"
            return
        folder.told = [
            PodFile(name=each, epoch=number, size=len(bytes_), sha256=hashlib.sha256(bytes_).hexdigest())
            for number, (each, bytes_) in enumerate(folder.files.items(), start=1)
        ]
        folder.losses.setdefault(pod.attempt, []).append((epoch * 10, epoch, 0.1 / epoch))
        if epoch == pod.epochs:
            folder.result = self._result(pod, folder, "finished", f"{epoch} epochs.")

    def _write(self, pod: Pod, folder: Folder) -> None:
        pod.seq += 1
        done = len(folder.files)
        folder.statuses[pod.attempt] = PodStatus(
            seq=pod.seq,
            pod=pod.id,
            phase="training",
            message="",
            step=done * 10,
            total_steps=pod.epochs * 10,
            epoch=min(done + 1, pod.epochs),
            loss=0.1,
            eta_seconds=60.0,
            free_bytes=10**9,
            gpu="RTX 4090",
            seconds={"training": pod.seq * self.EVERY},
            files=tuple(folder.told),
        )

    def _result(self, pod: Pod, folder: Folder, state: str, reason: str) -> PodResult:
        return PodResult(
            attempt=pod.attempt,
            pod=pod.id,
            state=state,
            reason=reason,
            step=len(folder.files) * 10,
            total_steps=pod.epochs * 10,
            gpu="RTX 4090",
            seconds={},
            files=tuple(folder.told),
        )


_loras: dict[int, bytes] = {}


def lora(epoch: int) -> bytes:
    """The file of an epoch, a real LoRA of the miniature; always the same."""
    if epoch not in _loras:
        with tempfile.TemporaryDirectory() as folder:
            _loras[epoch] = write_lora(Path(folder) / "lora.safetensors", seed=epoch, ss_epoch=str(epoch)).read_bytes()
    return _loras[epoch]
