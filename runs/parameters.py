"""Every parameter of a run as lines to read and search, and what differs between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runs.kohya import OPTIONS, effective
from runs.models import TrainingRun
from runs.plans import differing, parameters_for

# Columns that say something of how the run was made, beyond kohya's parameters.
_FACTS = (
    "base_model",
    "model_type",
    "caption_version",
    "caption_format",
    "num_images",
    "training_data_path",
    "total_steps",
    "platform",
    "gpu_type",
    "training_duration_hours",
    "checkpoint_file_size_mb",
)


@dataclass(frozen=True)
class Line:
    """A parameter, its value as text, and whether the run says it or kohya's default stands."""

    name: str
    value: str
    is_said: bool


@dataclass(frozen=True)
class Difference:
    """A parameter and its value in each run, in words; "–" where a run does not say."""

    name: str
    values: Sequence[str]


def lines_of(run: TrainingRun) -> list[Line]:
    """All parameters of a run by name: what its row and config say, and kohya's defaults where they are silent."""
    values = parameters_for(run) | (run.all_parameters or {})
    said = {name: value for name, value in values.items() if value is not None}
    said |= {name: value for name in _FACTS if (value := getattr(run, name)) is not None}
    defaults = {name: value for name in OPTIONS if name not in said and (value := effective({}, name)) is not None}
    lines = [Line(name, words(value), True) for name, value in said.items()]
    lines += [Line(name, words(value), False) for name, value in defaults.items()]
    return sorted(lines, key=lambda line: (not line.is_said, line.name))


def differences(*runs: TrainingRun) -> list[Difference]:
    """What decides a result and is not the same in all of the runs, by name; empty for a single one. No query."""
    return [Difference(name, [words(value) for value in values]) for name, values in differing(runs).items()]


def words(value: Any) -> str:
    """A parameter's value for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(words(one) for one in value) or "none"
    return str(value)
