"""In which parameters runs differ: what a person must know who looks at their pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runs.config_columns import parameters_of
from runs.models import TrainingRun

_COLUMNS = ("base_model", "caption_version", "num_images")
# Where a run's files lie and what they are called decides nothing about its pictures.
_NAMES = ("_dir", "_name", "_path", "output_", "logging", "log_", "wandb", "sample_", "huggingface", "dataset_config")


@dataclass(frozen=True)
class Difference:
    """A parameter and its value in each run, in words; "–" where the run does not say."""

    name: str
    values: Sequence[str]


def differences(runs: Sequence[TrainingRun]) -> list[Difference]:
    """What is not the same in all of the runs, by name; empty for a single run. No query."""
    all_values = [_values(run) for run in runs]
    names = sorted({name for values in all_values for name in values})
    found = [Difference(name, [_said(values.get(name)) for values in all_values]) for name in names]
    return [each for each in found if len(set(each.values)) > 1]


def _values(run: TrainingRun) -> dict[str, Any]:
    columns = {name: getattr(run, name) for name in _COLUMNS}
    options = parameters_of(vars(run))
    return columns | {name: value for name, value in options.items() if not any(part in name for part in _NAMES)}


def _said(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
