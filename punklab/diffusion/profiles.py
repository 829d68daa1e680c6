"""What is peculiar to each base model: size, steps, guidance, LoRA targets, rates. No torch.

The miniature's `profile.json` lies beside its weights: fields of BaseProfile that stand in for those of MINIATURE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from punklab.diffusion.request import SCHEDULERS, TOKEN_LENGTHS

PROFILE_FILE = "profile.json"
DEVICES = ("cuda", "mps", "cpu")
DTYPES = ("float32", "float16", "bfloat16")


class Family(StrEnum):
    MINIATURE = "miniature"
    SD15 = "sd15"
    SDXL = "sdxl"


class ProfileError(Exception):
    """A profile.json that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class BaseProfile:
    family: Family
    version: str  # kohya's ss_base_model_version
    size: int  # pixels, square
    steps: int
    guidance: float
    scheduler: str
    max_token_length: int  # what captions and prompts are read to
    text_width: int  # of the text encoder's states
    unet_targets: tuple[str, ...] = ("Transformer2DModel",)  # classes, as in kohya's networks.lora
    unet_conv_targets: tuple[str, ...] = ("ResnetBlock2D", "Downsample2D", "Upsample2D")
    text_encoder_targets: tuple[str, ...] = ("CLIPAttention", "CLIPMLP")
    conv_always: bool = False  # larger convolutions get network_dim even without conv_dim
    unet_lr: float
    text_encoder_lr: float
    batch_classes: Mapping[str, tuple[int, ...]]  # by device: the fixed batch shapes
    dtypes: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(DEVICES, "float32"))
    renderable: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("size", "steps", "guidance", "max_token_length", "unet_lr", "text_encoder_lr"):
            self._refuse(name, isinstance(getattr(self, name), int | float))
        self._refuse("size", self.size > 0 and self.size % 8 == 0)
        self._refuse("steps", 1 <= self.steps <= 150)
        self._refuse("scheduler", self.scheduler in SCHEDULERS)
        self._refuse("max_token_length", self.max_token_length in TOKEN_LENGTHS)
        self._refuse("batch_classes", all(1 in self.batch_classes.get(device, ()) for device in DEVICES))
        self._refuse("dtypes", all(self.dtypes.get(device) in DTYPES for device in DEVICES))

    def _refuse(self, name: str, good: bool) -> None:
        if not good:
            raise ProfileError(f"{name} of the base's profile cannot be {getattr(self, name)!r}.")


MINIATURE = BaseProfile(
    family=Family.MINIATURE,
    version="punklab_miniature_1",
    size=96,
    steps=12,
    guidance=1.5,
    scheduler="dpmsolver++",
    max_token_length=225,
    text_width=128,
    conv_always=True,  # only convolutions work at its full resolution: without them no outline stays clean
    unet_lr=4e-3,
    text_encoder_lr=4e-4,
    batch_classes={"cuda": (1, 2, 4, 8), "mps": (1, 2, 4, 8), "cpu": (1, 2, 4, 6, 8)},  # a comparison has six prompts
    note="Small enough to ship: draws in well under a second on a CPU.",
)
SD15 = BaseProfile(
    family=Family.SD15,
    version="sd_v1",
    size=512,
    steps=30,
    guidance=7.5,
    scheduler="dpmsolver++",
    max_token_length=225,
    text_width=768,
    unet_lr=1e-4,
    text_encoder_lr=5e-5,
    # in 16 bit on an H100 a picture's bytes depended on its place in a batch of 2
    batch_classes=dict.fromkeys(DEVICES, (1,)),
    dtypes={"cuda": "float16", "mps": "float16", "cpu": "float32"},
    note="576 fits cells (24 pixels), latents (3) and the UNet's halvings exactly; 512 is what it was trained at.",
)
SDXL = BaseProfile(
    family=Family.SDXL,
    version="sdxl_base_v1-0",
    size=1024,
    steps=30,
    guidance=7.5,
    scheduler="dpmsolver++",
    max_token_length=225,
    text_width=2048,
    unet_lr=1e-4,
    text_encoder_lr=5e-5,
    batch_classes=dict.fromkeys(DEVICES, (1,)),
    renderable=False,
    note="Stable Diffusion XL is kept and shown, not rendered or trained here.",
)


def read_profile(path: Path) -> BaseProfile:
    """The miniature's profile with what a JSON file says of it. Raises ProfileError naming what is wrong."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(BaseProfile)} - {"family"}
        return replace(MINIATURE, **{name: _tuples(value) for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProfileError(f"{path}: not a base model's profile: {error}.") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return value
