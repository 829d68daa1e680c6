"""What a training is to do, read from kohya's options; what cannot be honoured is refused by name. No torch."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from punklab.diffusion.base import BaseModel
from punklab.diffusion.profiles import Family
from punklab.diffusion.request import TOKEN_LENGTHS
from punklab.diffusion.schedules import Schedule
from punklab.diffusion.training_options import OPTIMIZERS, PRECISIONS, arguments_of, refusals_of
from punklab.files import sha256_of

DEFAULT_SEED = 42  # kohya draws one; a training that can be resumed and repeated needs to know it beforehand
KOHYAS_STEPS = 1600


class TrainingError(Exception):
    """A training that cannot go on: the message names what is at fault and the mend."""


_NONE = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, _NONE),
    "float": (int, float),
    "float | None": (int, float, _NONE),
    "str": (str,),
    "str | None": (str, _NONE),
}


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Everything that decides a training, folders and device included. Rates are per optimizer step."""

    base: BaseModel
    train_data_dir: Path
    output_dir: Path
    state_dir: Path
    device: str = "cpu"
    output_name: str | None = None  # None: kohya's own "epoch-000001" and "last"
    size: int  # pixels, square
    network_dim: int = 4
    network_alpha: float = 1.0
    conv_dim: int | None = None  # None: larger convolutions are left alone, unless the base's profile bends them
    conv_alpha: float = 1.0
    network_weights: Path | None = None
    train_unet: bool = True
    train_text_encoder: bool = True
    unet_lr: float
    text_encoder_lr: float
    learning_rate: float | None = None
    optimizer: str = "AdamW"
    optimizer_args: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    max_train_epochs: int | None = None
    max_train_steps: int = KOHYAS_STEPS
    train_batch_size: int = 1
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    max_grad_norm: float = 1.0
    mixed_precision: str = "no"
    min_snr_gamma: float | None = None
    noise_offset: float | None = None
    multires_noise_iterations: int | None = None
    multires_noise_discount: float = 0.3
    flip_aug: bool = False
    shuffle_caption: bool = False
    keep_tokens: int = 0
    caption_separator: str = ","
    caption_extension: str = ".txt"
    caption_dropout_rate: float = 0.0
    max_token_length: int = 75
    cache_latents: bool = False
    seed: int = DEFAULT_SEED
    save_every_n_epochs: int | None = None
    save_precision: str = "float32"
    training_comment: str | None = None
    state_every_seconds: float = 60.0
    notes: tuple[str, ...] = ()  # what is done otherwise than the config says

    @classmethod
    def from_config(
        cls,
        values: Mapping[str, Any],
        *,
        base: BaseModel,
        train_data_dir: Path,
        output_dir: Path,
        state_dir: Path,
        device: str = "cpu",
    ) -> TrainingPlan:
        """The plan that kohya's flat `values` ask for. Rates that they leave out come from the base's profile.

        Raises TrainingError naming every option that cannot be honoured, all at once.
        """
        values = {key: value for key, value in values.items() if value is not None}
        if not base.profile.renderable:
            raise TrainingError(f"{base.name} cannot be trained here: {base.profile.note}")
        try:
            refusals = refusals_of(values, base)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"The training's settings cannot be used: {error}.") from error
        if refusals:
            raise TrainingError("This training cannot be done as asked: " + "; ".join(refusals) + ".")
        try:
            return cls(
                base=base,
                train_data_dir=Path(train_data_dir),
                output_dir=Path(output_dir),
                state_dir=Path(state_dir),
                device=device,
                size=(size := _size(values, base)),
                notes=_size_notes(values, base, size),
                **_network(values),
                **_rates(values, base),
                **_length(values),
                **_plain(values),
            )
        except (TypeError, ValueError, SyntaxError, OverflowError) as error:
            raise TrainingError(f"The training's settings cannot be used: {error}.") from error

    def __post_init__(self) -> None:
        self._check_types()
        for name, good, wanted in (
            ("size", self.size > 0 and self.size % 8 == 0, "a multiple of 8"),
            ("network_dim", self.network_dim >= 1, "1 or more"),
            ("conv_dim", self.conv_dim is None or self.conv_dim >= 1, "1 or more"),
            ("train_batch_size", self.train_batch_size >= 1, "1 or more"),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps >= 1, "1 or more"),
            ("max_train_epochs", self.max_train_epochs is None or self.max_train_epochs >= 1, "1 or more"),
            ("max_train_steps", self.max_train_steps >= 1, "1 or more"),
            ("mixed_precision", self.mixed_precision in ("no", "fp16", "bf16"), "no, fp16 or bf16"),
            ("max_token_length", self.max_token_length in TOKEN_LENGTHS, "75, 150 or 225"),
            ("caption_dropout_rate", 0 <= self.caption_dropout_rate <= 1, "from 0 to 1"),
            ("seed", self.seed >= 0, "0 or more"),
            ("train_unet", self.train_unet or self.train_text_encoder, "on where the text encoder is off"),
            ("unet_lr", min(self.unet_lr, self.text_encoder_lr) >= 0, "0 or more, as text_encoder_lr"),
        ):
            if not good:
                raise ValueError(f"{name} is {getattr(self, name)!r} and must be {wanted}")

    def _check_types(self) -> None:
        for each in fields(self):
            wanted, value = _TYPES.get(str(each.type)), getattr(self, each.name)
            if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)):
                raise TypeError(f"{each.name} is {value!r}, which is no {each.type}")

    @property
    def trains_text_encoder(self) -> bool:
        return self.train_text_encoder and self.text_encoder_lr > 0

    def checkpoint_path(self, epoch: int | None) -> Path:
        """kohya's file name of an epoch from 1; None is the last, which bears no number."""
        if epoch is None:
            return self.output_dir / f"{self.output_name or 'last'}.safetensors"
        return self.output_dir / f"{self.output_name or 'epoch'}-{epoch:06d}.safetensors"

    def deciding(self) -> dict[str, Any]:
        """What decides the weights, as plain JSON values: a state saved under other ones is not resumed."""
        places = {
            "base",
            "train_data_dir",
            "output_dir",
            "state_dir",
            "device",
            "network_weights",
            "state_every_seconds",
        }
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in places}
        values["schedule"] = vars(self.schedule)
        values["base"] = self.base.fingerprint
        values["network_weights"] = sha256_of(self.network_weights) if self.network_weights else None
        plain: dict[str, Any] = json.loads(json.dumps(values, default=dict))
        return plain


def _size(values: Mapping[str, Any], base: BaseModel) -> int:
    if base.profile.family is Family.MINIATURE or "resolution" not in values:
        return base.profile.size
    sides = [int(side) for side in str(values["resolution"]).replace("x", ",").split(",")]
    if len(set(sides)) != 1:
        raise ValueError(f"resolution is {values['resolution']!r}; punks are square")
    return sides[0]


def _size_notes(values: Mapping[str, Any], base: BaseModel, size: int) -> tuple[str, ...]:
    asked = str(values.get("resolution", size))
    if asked in (str(size), f"{size},{size}"):
        return ()
    return (f"The config's resolution is {asked}; {base.name} is trained at {size}.",)


def _network(values: Mapping[str, Any]) -> dict[str, Any]:
    arguments = arguments_of(values.get("network_args"))
    dim = int(values.get("network_dim", 4))
    conv_dim = int(arguments["conv_dim"]) if "conv_dim" in arguments else None
    weights = values.get("network_weights")
    return {
        "network_dim": dim,
        "network_alpha": float(values.get("network_alpha", 1)) or float(dim),  # 0 means the dim to kohya
        "conv_dim": conv_dim,
        "conv_alpha": float(arguments.get("conv_alpha", 1)) or float(conv_dim or 1),
        "network_weights": Path(weights) if weights else None,
        "train_unet": not values.get("network_train_text_encoder_only", False),
        "train_text_encoder": not values.get("network_train_unet_only", False),
    }


def _rates(values: Mapping[str, Any], base: BaseModel) -> dict[str, Any]:
    rate = values.get("learning_rate")
    text_rate = values.get("text_encoder_lr")
    if isinstance(text_rate, list):
        text_rate = text_rate[0] if text_rate else None
    optimizer = "AdamW8bit" if values.get("use_8bit_adam") else values.get("optimizer_type", "")
    arguments = arguments_of(values.get("optimizer_args"))
    return {
        "unet_lr": float(_first(values.get("unet_lr"), rate, base.profile.unet_lr)),
        "text_encoder_lr": float(_first(text_rate, rate, base.profile.text_encoder_lr)),
        "learning_rate": None if rate is None else float(rate),
        "optimizer": OPTIMIZERS[str(optimizer).lower()],
        "optimizer_args": {name: ast.literal_eval(text) for name, text in arguments.items()},
        "schedule": Schedule(
            name=values.get("lr_scheduler", "constant"),
            warmup=values.get("lr_warmup_steps", 0),
            cycles=int(values.get("lr_scheduler_num_cycles", 1)),
            power=float(values.get("lr_scheduler_power", 1)),
        ),
    }


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _length(values: Mapping[str, Any]) -> dict[str, Any]:
    epochs = values.get("max_train_epochs")
    return {
        "max_train_epochs": None if epochs is None else int(epochs),
        "max_train_steps": int(values.get("max_train_steps", KOHYAS_STEPS)),
        "cache_latents": bool(values.get("cache_latents") or values.get("cache_latents_to_disk")),
        "caption_extension": values.get("caption_extension", ".caption"),  # kohya's default
        "save_precision": PRECISIONS[values.get("save_precision")],
        "min_snr_gamma": values.get("min_snr_gamma") or None,  # 0 switches it off in kohya
        "noise_offset": values.get("noise_offset") or None,
        "multires_noise_iterations": values.get("multires_noise_iterations") or None,
    }


_PLAIN = (
    "output_name",
    "train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "max_grad_norm",
    "mixed_precision",
    "multires_noise_discount",
    "flip_aug",
    "shuffle_caption",
    "keep_tokens",
    "caption_separator",
    "caption_dropout_rate",
    "max_token_length",
    "seed",
    "save_every_n_epochs",
    "training_comment",
)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _PLAIN if name in values}
