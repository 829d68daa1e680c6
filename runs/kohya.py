"""kohya's options: what ``train_network.py`` of sd-scripts accepts (its argument parser, February 2026)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: its type's name, its default (None where kohya has none), its choices (empty: free)."""

    name: str
    type: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    many: bool = False


def _read_options() -> dict[str, Option]:
    rows = json.loads(Path(__file__).with_name("kohya_options.json").read_text(encoding="utf-8"))
    options = {}
    for name, row in rows.items():
        default = False if row["type"] == "bool" else None
        options[name] = Option(
            name=name,
            type=row["type"],
            default=row.get("default", default),
            choices=tuple(row.get("choices", ())),
            many=row.get("many", False),
        )
    return options


OPTIONS = _read_options()

# Both lists are checked inside kohya, after its parser, and without regard to case for optimizers.
SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "cosine",
    "cosine_with_min_lr",
    "cosine_with_restarts",
    "inverse_sqrt",
    "linear",
    "piecewise_constant",
    "polynomial",
    "reduce_lr_on_plateau",
    "warmup_stable_decay",
)
OPTIMIZERS = (
    "AdamW",
    "AdamW8bit",
    "PagedAdamW",
    "PagedAdamW8bit",
    "PagedAdamW32bit",
    "Lion",
    "Lion8bit",
    "PagedLion8bit",
    "SGDNesterov",
    "SGDNesterov8bit",
    "Adafactor",
    "Prodigy",
    "DAdaptation",
    "DAdaptAdamPreprint",
    "DAdaptAdaGrad",
    "DAdaptAdam",
    "DAdaptAdan",
    "DAdaptAdanIP",
    "DAdaptLion",
    "DAdaptSGD",
    "RAdamScheduleFree",
    "AdamWScheduleFree",
    "SGDScheduleFree",
)


def effective(values: Mapping[str, Any], name: str) -> Any:
    """The value that kohya would work with: the one given, else its default; None where it has neither."""
    if values.get(name) is not None:
        return values[name]
    option = OPTIONS.get(name)
    return option.default if option else None


def network_arguments(values: Mapping[str, Any]) -> dict[str, str]:
    """``network_args`` as kohya splits them: ``["conv_dim=8"]`` gives ``{"conv_dim": "8"}``."""
    arguments = values.get("network_args")
    if not isinstance(arguments, list):
        return {}
    pairs = (str(argument).split("=", 1) for argument in arguments if "=" in str(argument))
    return {name.strip(): value.strip() for name, value in pairs}


def resolution_of(text: object) -> tuple[int, int] | None:
    """``"512,512"`` or ``"512"`` as (width, height); None where kohya could not read it."""
    if not isinstance(text, str):
        return None
    parts = text.split(",")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2 or min(numbers) < 1:
        return None
    return numbers[0], numbers[1]
