"""Learning-rate schedules as a factor on the rate: functions of the step alone, so that nothing has to be saved.

The formulas are those of transformers' `get_scheduler` (transformers/optimization.py), which kohya uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("constant", "constant_with_warmup", "cosine", "cosine_with_restarts", "linear", "polynomial")
_POLYNOMIAL_END = 1e-7  # the rate, not the factor, at which transformers' polynomial decay ends


@dataclass(frozen=True)
class Schedule:
    """`warmup` is a number of steps, or (a float) a share of all of them."""

    name: str = "constant"
    warmup: int | float = 0
    cycles: int = 1
    power: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(f"lr_scheduler is {self.name!r}; choose one of {', '.join(SCHEDULES)}")
        if self.name == "constant" and self.warmup:
            raise ValueError("lr_warmup_steps has no place in the constant scheduler; choose constant_with_warmup")
        if isinstance(self.warmup, bool) or self.warmup < 0:
            raise ValueError(f"lr_warmup_steps is {self.warmup!r} and must be 0 or more")
        if self.cycles < 1:
            raise ValueError(f"lr_scheduler_num_cycles is {self.cycles!r} and must be 1 or more")

    def factor(self, step: int, total: int, rate: float = 1.0) -> float:
        """What `rate` is multiplied by at optimizer step `step`, from 0, of `total`."""
        warmup = int(self.warmup * total) if isinstance(self.warmup, float) else self.warmup
        if step < warmup:
            return step / max(1, warmup)
        if self.name.startswith("constant"):
            return 1.0
        progress = (step - warmup) / max(1, total - warmup)
        if progress >= 1:
            return 0.0
        if self.name == "linear":
            return 1 - progress
        if self.name == "polynomial":
            end = min(1.0, _POLYNOMIAL_END / rate) if rate else 0.0
            return float((1 - end) * (1 - progress) ** self.power + end)
        cycle = progress if self.name == "cosine" else (self.cycles * progress) % 1
        return 0.5 * (1 + math.cos(math.pi * cycle))
