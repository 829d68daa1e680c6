"""A kohya config as the mirrored columns of ``training_runs``, and the way back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runs.kohya import effective, network_arguments, resolution_of


def columns_from(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flat options of kohya's as the mirrored columns of ``training_runs``; ``all_parameters`` loses nothing.

    A whole-number column whose option holds a fraction (alpha 0.5) stays None. ``all_parameters`` also repeats
    conv_dim and conv_alpha at the top, where the lab's views look for them.
    """
    size = resolution_of(values.get("resolution"))
    arguments = network_arguments(values)
    text_encoder_lr = values.get("text_encoder_lr")
    if isinstance(text_encoder_lr, list):
        text_encoder_lr = text_encoder_lr[0] if text_encoder_lr else None
    cycles = values.get("lr_scheduler_num_cycles")
    convs = {name: _number(arguments[name]) for name in ("conv_dim", "conv_alpha") if name in arguments}
    return {
        "network_dim": _whole(values.get("network_dim")),
        "network_alpha": _whole(effective(values, "network_alpha")),
        "learning_rate": _float(effective(values, "learning_rate")),
        "unet_lr": _float(values.get("unet_lr")),
        "text_encoder_lr": _float(text_encoder_lr),
        "train_batch_size": _whole(effective(values, "train_batch_size")),
        "gradient_accumulation_steps": _whole(effective(values, "gradient_accumulation_steps")),
        "max_train_epochs": _whole(values.get("max_train_epochs")),
        "mixed_precision": effective(values, "mixed_precision"),
        "optimizer_type": effective(values, "optimizer_type") or "AdamW",
        "lr_scheduler": effective(values, "lr_scheduler"),
        "lr_scheduler_cycles": _whole(cycles),
        "noise_offset": _float(values.get("noise_offset")),
        "min_snr_gamma": _whole(values.get("min_snr_gamma")),
        "resolution": f"{size[0]}x{size[1]}" if size else values.get("resolution"),
        "output_dir": values.get("output_dir"),
        "output_name": values.get("output_name"),
        "all_parameters": {**values, **convs},
    }


# Column of training_runs: kohya's key. The rest of the columns bear the same name.
_RENAMED = {"lr_scheduler_cycles": "lr_scheduler_num_cycles"}
_COLUMNS = [
    "network_dim",
    "network_alpha",
    "learning_rate",
    "unet_lr",
    "text_encoder_lr",
    "train_batch_size",
    "gradient_accumulation_steps",
    "max_train_epochs",
    "mixed_precision",
    "optimizer_type",
    "lr_scheduler",
    "lr_scheduler_cycles",
    "noise_offset",
    "min_snr_gamma",
    "resolution",
    "output_dir",
    "output_name",
]


def parameters_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: kohya's options from mirrored columns.

    ``all_parameters`` is the ground; a column that says otherwise than it (a row without it, or edited since) wins.
    The lab's ``512x512`` becomes kohya's ``512,512``; conv_dim and conv_alpha go to ``network_args``.
    """
    values = _with_network_args(dict(columns.get("all_parameters") or {}))
    said = columns_from(values)
    for column in _COLUMNS:
        value = columns.get(column)
        if value is None or value == said[column]:
            continue
        if column == "resolution":
            value = re.sub(r"\s*[x×]\s*", ",", str(value))
        values[_RENAMED.get(column, column)] = value
    return values


def _with_network_args(values: dict[str, Any]) -> dict[str, Any]:
    arguments = network_arguments(values)
    for name in ("conv_dim", "conv_alpha"):
        number = values.pop(name, None)
        if number is None or (name in arguments and _number(arguments[name]) == number):
            continue
        given = values.get("network_args")
        others = given if isinstance(given, list) else []
        kept = [part for part in others if not str(part).startswith(f"{name}=")]
        values["network_args"] = [*kept, f"{name}={number}"]
    return values


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
        return None
    return int(value)


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
