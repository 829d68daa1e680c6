"""Everything that decides an image, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

WINDOW = 75  # tokens of a prompt that one CLIP window holds, without its two markers
TOKEN_LENGTHS = (75, 150, 225)  # one, two or three windows
SCHEDULERS = ("dpmsolver++", "euler", "unipc", "ddim")
MAX_SEED = 2**63 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class RequestError(ValueError):
    """A field of a request has a value that no image can be drawn with."""


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """Two equal requests give the same PNG bytes on the same device.

    The batch class belongs to it: floating-point sums differ between batch shapes, so that bytes are promised per class
    and device. What is not in here (neighbours, order, history, names of people and runs) has no influence."""

    base: str  # "miniature" or a hub id
    base_hash: str  # BaseModel.fingerprint: which weights go by that name
    lora_sha256: str | None = None  # None: the base alone
    lora_weight: float = 1.0  # 1 is the strength it was trained with
    prompt: str
    negative_prompt: str = ""
    seed: int
    steps: int
    guidance: float  # 1 or less: without the negative prompt
    scheduler: str
    width: int
    height: int
    batch_class: int = 1
    max_token_length: int = 75  # tokens of a prompt that are read: one, two or three windows of 75
    finish: str | None = None  # how the 24x24 is made, as `punklab.pixels.finish.finish_of` names it; None: no 24x24

    def __post_init__(self) -> None:
        self._check_types()
        self._refuse("base", self.base.strip() != "", "a model's name")
        self._refuse("base_hash", self.base_hash != "", "the fingerprint of the base's weights")
        self._refuse(
            "lora_sha256", self.lora_sha256 is None or bool(_SHA256.fullmatch(self.lora_sha256)), "64 hex digits"
        )
        self._refuse("lora_weight", -4 <= self.lora_weight <= 4, "from -4 to 4")
        self._refuse("seed", 0 <= self.seed <= MAX_SEED, f"from 0 to {MAX_SEED}")
        self._refuse("steps", 1 <= self.steps <= 150, "from 1 to 150")
        self._refuse("guidance", 0 <= self.guidance <= 50, "from 0 to 50")
        self._refuse("scheduler", self.scheduler in SCHEDULERS, f"one of {', '.join(SCHEDULERS)}")
        for side in ("width", "height"):
            value = getattr(self, side)
            self._refuse(side, 8 <= value <= 2048 and value % 8 == 0, "a multiple of 8 from 8 to 2048")
        self._refuse("batch_class", 1 <= self.batch_class <= 64, "from 1 to 64")
        self._refuse("max_token_length", self.max_token_length in TOKEN_LENGTHS, "75, 150 or 225")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> RenderRequest:
        """The request that `to_json` wrote. Raises RequestError for anything else."""
        try:
            values = json.loads(text)
            return cls(**values)
        except (json.JSONDecodeError, TypeError) as error:
            raise RequestError(f"Not a render request: {error}.") from error

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the image's name, one for each batch class."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def settings(self) -> tuple[Any, ...]:
        """What requests must have in common to be drawn in one batch: all but texts, seed and finish."""
        apart = {"prompt", "negative_prompt", "seed", "finish"}
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in apart)

    def _check_types(self) -> None:
        for name in ("lora_weight", "guidance"):
            value = getattr(self, name)
            self._refuse(name, isinstance(value, int | float) and not isinstance(value, bool), "a number")
            object.__setattr__(self, name, float(value))  # 7 and 7.0 are one request
        for name in ("seed", "steps", "width", "height", "batch_class", "max_token_length"):
            value = getattr(self, name)
            self._refuse(name, isinstance(value, int) and not isinstance(value, bool), "a whole number")
        for name in ("base", "base_hash", "prompt", "negative_prompt", "scheduler"):
            self._refuse(name, isinstance(getattr(self, name), str), "a text")
        for name in ("lora_sha256", "finish"):
            self._refuse(name, isinstance(getattr(self, name), str | None), "a text or null")

    def _refuse(self, field: str, allowed: bool, wanted: str) -> None:
        if not allowed:
            raise RequestError(f"{field} is {getattr(self, field)!r}; it must be {wanted}.")
