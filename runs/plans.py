"""A new run as a copy of another with the changes named: what differs, why, and how the nearest past runs ended."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.forms.models import model_to_dict

from runs.config import ConfigError, parameters_of, read_config, write_config
from runs.kohya import effective
from runs.models import CaptionVersion, Checkpoint, RunPlan, TrainingRun
from runs.nearest import Near, all_failed, nearest
from runs.package import REPEATS
from runs.training import ActError, create_run

# Names and places of files: they differ in every run and decide nothing.
NAMES = frozenset(
    {
        "logging_dir",
        "log_prefix",
        "output_dir",
        "output_name",
        "pretrained_model_name_or_path",
        "sample_prompts",
        "train_data_dir",
    }
)
# What every config of ours needs, for parents whose row does not hold it.
NEEDED = {"network_module": "networks.lora", "caption_extension": ".txt"}


class PlanError(ActError):
    """A run that was not created because of its plan; it carries what the person should look at first."""

    def __init__(self, problems: Sequence[str], changes: Mapping[str, Any], near: Sequence[Near]) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)
        self.changes = changes
        self.near = near


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """The epoch's measure that must be at least, or at most, the threshold; early stop obeys it."""

    measure: str
    epoch: int
    direction: str
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a person says about a run to be made. `seen` are the past runs, by pk, whose ends they were shown."""

    parent: TrainingRun | None = None
    starting_checkpoint: Checkpoint | None = None
    hypothesis: str = ""
    criterion: Criterion | None = None
    reason_for_several: str = ""
    reason_despite_failures: str = ""
    seen: frozenset[int] | None = None  # None: who asks has no page to see them on


def create_planned(
    name: str,
    intent: Intent,
    *,
    captions: CaptionVersion,
    config_text: str,
    base: str | None = None,
    repeats: int = 1,
    by: AbstractBaseUser | None = None,
) -> TrainingRun:
    """Make a run with its plan, or nothing. Raises ActError as `create_run` does, and PlanError for a copy without a
    hypothesis, several changes without a reason, a criterion for an epoch that is not trained, and where the nearest past
    runs were not looked at or all failed without a reason to try again."""
    if intent.starting_checkpoint is not None:
        weights = {"network_weights": str(intent.starting_checkpoint.path)}
        config_text = write_config(_config(config_text) | weights)
    with transaction.atomic():
        run = create_run(name, captions=captions, config_text=config_text, base=base, repeats=repeats, by=by)
        changes = changes_between(intent.parent, run) if intent.parent else {}
        near = nearest(run)
        problems = _problems(run, intent, changes, near)
        if problems:
            raise PlanError(problems, changes, near)
        criterion = intent.criterion
        RunPlan.objects.create(
            run=run,
            parent=intent.parent,
            starting_checkpoint=intent.starting_checkpoint,
            changes=changes,
            hypothesis=intent.hypothesis.strip(),
            measure=criterion.measure if criterion else "",
            epoch=criterion.epoch if criterion else None,
            direction=criterion.direction if criterion else "",
            threshold=criterion.threshold if criterion else None,
            reason_for_several=intent.reason_for_several.strip() if len(changes) > 1 else "",
            reason_despite_failures=intent.reason_despite_failures.strip() if all_failed(near) else "",
            by_id=by.pk if by else None,
        )
    return run


def with_changes(config_text: str, changes: str) -> str:
    """A config with some of its values replaced: `changes` are lines `key = value` as in TOML. Raises ActError."""
    if not changes.strip():
        return config_text
    try:
        named = tomllib.loads(changes)
    except tomllib.TOMLDecodeError as error:
        raise ActError(f"The changes cannot be read: {error}. Write one a line, such as `network_dim = 16`.") from error
    return write_config(_config(config_text) | named)


def config_like(run: TrainingRun) -> str:
    """The config of a run, to begin another with; what every config needs is put in where its row does not say."""
    return write_config(NEEDED | {key: value for key, value in parameters_for(run).items() if key not in NAMES})


def parameters_for(run: TrainingRun) -> dict[str, Any]:
    """What kohya was, or will be, told for a run."""
    values = parameters_of(model_to_dict(run) | {"all_parameters": run.all_parameters or {}})
    values.pop(REPEATS, None)  # ours, not kohya's
    return values


def variables_of(run: TrainingRun) -> dict[str, Any]:
    """All that decides a run's result, by name: kohya's parameters, captions, base model, how often each picture counts."""
    values = {key: value for key, value in parameters_for(run).items() if key not in NAMES}
    repeats = (run.all_parameters or {}).get(REPEATS) or 1
    return values | {"base_model": run.base_model, "caption_version": run.caption_version, REPEATS: repeats}


def changes_between(parent: TrainingRun, run: TrainingRun) -> dict[str, list[Any]]:
    """Each variable that differs, with its value in the parent and in the run.

    What kohya does without being told is no change. A row of the lab's without `all_parameters` does not say everything:
    there only what it says is compared."""
    return differing([parent, run])


def differing(runs: Sequence[TrainingRun]) -> dict[str, list[Any]]:
    """Each variable that is not the same in all of the runs, by name, with its value in each; see `changes_between`."""
    variables = [variables_of(run) for run in runs]
    names = sorted({name for values in variables for name in values})
    return {name: [values.get(name) for values in variables] for name in names if _differs(name, runs, variables)}


def _differs(name: str, runs: Sequence[TrainingRun], variables: Sequence[Mapping[str, Any]]) -> bool:
    told = [
        _plain(effective(values, name))
        for run, values in zip(runs, variables, strict=True)
        if run.all_parameters or (name in values and name != REPEATS)
    ]
    return any(value != told[0] for value in told[1:])


def _plain(value: Any) -> Any:
    return value or None if isinstance(value, (str, list)) else value


def _config(text: str) -> dict[str, Any]:
    try:
        return read_config(text).values
    except ConfigError as error:
        raise ActError(str(error)) from error


def _problems(
    run: TrainingRun, intent: Intent, changes: Mapping[str, Sequence[Any]], near: Sequence[Near]
) -> list[str]:
    problems = []
    if intent.parent and not intent.hypothesis.strip():
        problems.append(f"Say what you expect of changing {intent.parent}: a hypothesis is missing.")
    if len(changes) > 1 and not intent.reason_for_several.strip():
        problems.append(
            f"{len(changes)} variables change ({', '.join(changes)}): nobody will know which of them did it. "
            "Change one, or say why several."
        )
    criterion = intent.criterion
    if criterion and run.epochs and criterion.epoch > run.epochs:
        problems.append(f"The criterion asks for epoch {criterion.epoch}, but the run has {run.epochs}.")
    if near and intent.seen is not None and not {one.run.pk for one in near} <= intent.seen:
        problems.append("Look at how the nearest past runs ended, then create it.")
    elif all_failed(near) and not intent.reason_despite_failures.strip():
        names = ", ".join(str(one.run) for one in near)
        problems.append(f"All the nearest past runs failed ({names}). Say why this one should not.")
    return problems
