"""How long a training is, in kohya's reckoning, and which files it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from punklab.diffusion.training_data import TrainingData
from punklab.diffusion.training_plan import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class Length:
    batches: int  # an epoch
    steps: int  # optimizer steps an epoch
    total: int
    epochs: int


def length_of(plan: TrainingPlan, data: TrainingData) -> Length:
    batches = data.batches_per_epoch(plan.train_batch_size)
    steps = math.ceil(batches / plan.gradient_accumulation_steps)
    total = plan.max_train_steps if plan.max_train_epochs is None else plan.max_train_epochs * steps
    return Length(batches=batches, steps=steps, total=total, epochs=math.ceil(total / steps))


def checkpoints_of(plan: TrainingPlan, length: Length) -> list[tuple[Path, int]]:
    """The files that the training writes and their epochs; kohya gives the last one no number."""
    every = plan.save_every_n_epochs
    numbered = [epoch for epoch in range(1, length.epochs) if every and epoch % every == 0]
    return [
        *((plan.checkpoint_path(epoch), epoch) for epoch in numbered),
        (plan.checkpoint_path(None), length.epochs),
    ]
