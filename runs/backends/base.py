"""What a provider of rented machines can do for the controller.

A provider is asked, never believed: a request that was not answered may have been carried out, so that each call either
says for certain what happened or says that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Protocol

from runs.lease_models import Lease
from runs.models import TrainingJob
from runs.pod_reports import PodFile, Report


class BackendError(Exception):
    """A provider could not be asked, or refused; the message says what, why and what to do."""


class MachineState(Enum):
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"  # it does nothing any more, and may still cost money


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as the provider lists it. `price`: US dollars an hour now; `phase`: the provider's word."""

    id: str
    name: str
    state: MachineState
    phase: str
    price: Decimal
    created: str


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A machine that could be had. `price`: US dollars an hour; `stock`: the provider's word for how many there are."""

    gpu: str
    data_center: str
    volume: str
    price: Decimal
    stock: str

    @property
    def key(self) -> str:
        return f"{self.gpu} @ {self.data_center}"


@dataclass(frozen=True)
class Accepted:
    """A machine was made."""

    machine: Machine


@dataclass(frozen=True)
class NoCapacity:
    """Nothing was made; another offer, or this one later, may do."""

    reason: str


@dataclass(frozen=True)
class Later:
    """Nothing was made; the same may be asked after so many seconds."""

    reason: str
    seconds: float


@dataclass(frozen=True)
class Refused:
    """Nothing was made, and asking again would not help before a person has mended something."""

    reason: str


@dataclass(frozen=True)
class Unknown:
    """There was no answer: the machine may have been made."""

    reason: str


Answer = Accepted | NoCapacity | Later | Refused | Unknown


class Backend(Protocol):
    name: str

    def close(self) -> None:
        """Close every connection; the next call opens them again."""

    def offers(self, job: TrainingJob) -> Sequence[Offer]:
        """What could be rented for a job, the preferred first; empty: nothing has capacity now. Raises BackendError."""

    def why_none(self) -> str:
        """Why there are no offers, a sentence for people. Raises BackendError."""

    def stage(self, lease: Lease) -> None:
        """Bring there what the machine will need; again costs little. Raises BackendError, PackageError, OSError."""

    def submit(self, lease: Lease) -> Answer:
        """Ask for the machine that `lease` names. Called once for a name, unless the answer said that nothing was made."""

    def observe(self) -> Sequence[Machine]:
        """Every machine of the account, in one call. Raises BackendError."""

    def release(self, machine: str) -> bool:
        """Give a machine back: True when the provider says so, False when it knows no such machine. Raises BackendError."""

    def report(self, lease: Lease) -> Report:
        """What the machine's program has written since `lease.events_read`. Needs no database. Raises BackendError."""

    def request_stop(self, lease: Lease) -> None:
        """Tell the program to save and end. Raises BackendError."""

    def written(self, lease: Lease) -> Sequence[tuple[str, int]]:
        """Name and size of every file that lies in the folder of finished epochs. Raises BackendError."""

    def collect(self, lease: Lease, file: PodFile, target: Path) -> None:
        """Bring an epoch's file to `target`, verified where its hash is known. Raises BackendError, OSError."""

    def clear_result(self, lease: Lease) -> None:
        """Delete the result that an earlier job left in the job's folder. Raises BackendError."""

    def empty(self, lease: Lease) -> None:
        """Delete the job's folder at the provider. Raises BackendError."""

    def log_tail(self, lease: Lease) -> str:
        """The last lines of what the machine printed; "" when there is nothing. Raises BackendError."""
