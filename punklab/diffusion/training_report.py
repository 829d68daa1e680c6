"""What a training tells while it goes on and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Ending(StrEnum):
    FINISHED = "finished"
    STOPPED = "stopped"  # `should_stop` said so; the state is saved and the next call goes on


@dataclass(frozen=True, kw_only=True)
class Progress:
    """After each optimizer step, and (with `checkpoint`) after each saved epoch."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float  # averaged over the last epoch's worth of batches, as kohya shows it
    learning_rate: float  # of the UNet, or of the text encoder where only that is trained
    eta_seconds: float
    images_per_second: float
    checkpoint: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    ending: Ending
    checkpoints: tuple[Path, ...]  # all of this training that are on disk, in order of epoch
    step: int
    total_steps: int
    loss: float
    seconds: float  # of work, resumptions included
    notes: tuple[str, ...]  # what was done otherwise than asked, and why
