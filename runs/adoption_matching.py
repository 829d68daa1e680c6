"""Which run and epoch a past LoRA is of, by its header, its name and what the lab's rows record. Pure but for queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from django.forms.models import model_to_dict

from punklab.diffusion.lora import LoraHeader
from runs.adoption_files import plain_stem, split_epoch
from runs.config import parameters_of
from runs.models import TrainingRun

# kohya's options whose value stands in a file's metadata under "ss_" and the same name.
COMPARED = (
    "learning_rate",
    "unet_lr",
    "text_encoder_lr",
    "lr_scheduler",
    "lr_warmup_steps",
    "gradient_accumulation_steps",
    "keep_tokens",
    "shuffle_caption",
    "caption_dropout_rate",
    "flip_aug",
    "noise_offset",
    "min_snr_gamma",
    "multires_noise_iterations",
    "multires_noise_discount",
    "max_token_length",
    "seed",
)
# Those that bear another name there.
RENAMED = {"max_train_epochs": "ss_num_epochs", "train_batch_size": "ss_batch_size_per_device"}
NEAR = timedelta(days=2)  # between a row's date and a training's start: rows are written by hand


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A file or folder that the lab's rows name for an epoch; the path is of the owner's machine."""

    path: str
    run_id: int
    epoch: int

    @property
    def name(self) -> str:
        return PurePosixPath(self.path.replace("\\", "/")).name


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """The run and epoch that a file is of, and why; `run` None with the reason why it cannot be told."""

    run: TrainingRun | None
    epoch: int | None
    reason: str


def belonging(
    path: Path, header: LoraHeader, runs: Sequence[TrainingRun], recorded: Iterable[Recorded], only: TrainingRun | None
) -> Belonging:
    """Decide for one LoRA. `only` is the run that a person says it is of."""
    name, number = split_epoch(plain_stem(path))
    output_name = _said(header.metadata, "ss_output_name") or name
    named = [entry for entry in recorded if entry.name == f"{plain_stem(path)}.safetensors"]
    candidates = [only] if only else [run for run in runs if run.output_name and run.output_name == output_name]
    if not candidates:
        candidates = [run for run in runs if run.pk in {entry.run_id for entry in named}]
    if not candidates:
        return Belonging(run=None, epoch=None, reason=f"no run has the output name {output_name!r}")
    run, reason = _choose(candidates, header, {entry.run_id for entry in named}, only)
    if run is None:
        return Belonging(run=None, epoch=None, reason=reason)
    epoch, why = _epoch_of(number, header, run)
    if epoch is None:
        return Belonging(run=None, epoch=None, reason=f"of {run}, but {why}")
    return Belonging(run=run, epoch=epoch, reason=f"{reason}; {why}")


def contradictions(header: LoraHeader, run: TrainingRun) -> list[str]:
    """Where the file's header and the run's row say different things; empty when all that both say agrees."""
    values = parameters_of(model_to_dict(run))
    pairs: dict[str, tuple[Any, Any]] = {"network_dim": (header.dim, run.network_dim)}
    pairs["network_alpha"] = (header.alpha, values.get("network_alpha"))
    for key in COMPARED:
        pairs[key] = (_said(header.metadata, f"ss_{key}"), values.get(key))
    for key, ss_key in RENAMED.items():
        pairs[key] = (_said(header.metadata, ss_key), values.get(key))
    return [
        f"{key} {theirs} in the file, {ours} in the row"
        for key, (theirs, ours) in pairs.items()
        if theirs is not None and ours is not None and not _equal(theirs, ours)
    ]


def _choose(
    candidates: Sequence[TrainingRun], header: LoraHeader, recorded_for: set[int], only: TrainingRun | None
) -> tuple[TrainingRun | None, str]:
    unlike = {run.pk: contradictions(header, run) for run in candidates}
    agreeing = [run for run in candidates if not unlike[run.pk]]
    if len(candidates) == 1:
        (run,) = candidates
        if not unlike[run.pk]:
            return run, f"you named {run}" if only else "the only run of that output name, and its header agrees"
        flags = "; ".join(unlike[run.pk])
        if only or recorded_for == {run.pk}:
            return run, f"{'you named ' + str(run) if only else 'an epoch of the run records this file'}, BUT {flags}"
        return None, f"of {run} by its name, but {flags}"
    if len(agreeing) == 1:
        return agreeing[0], f"of {len(candidates)} runs of that output name only this one's row agrees with the header"
    if not agreeing:
        names = ", ".join(f"{run} ({unlike[run.pk][0]})" for run in candidates)
        return None, f"the output name is that of {names}"
    return _by_date_or_record(agreeing, header, recorded_for)


def _by_date_or_record(
    agreeing: Sequence[TrainingRun], header: LoraHeader, recorded_for: set[int]
) -> tuple[TrainingRun | None, str]:
    begun = _begun(header.metadata)
    if begun:
        near = [run for run in agreeing if abs(run.run_date - begun) <= NEAR]
        if len(near) == 1:
            return near[0], f"the only run of that output name and these parameters around {begun:%Y-%m-%d}"
    noted = [run for run in agreeing if run.pk in recorded_for]
    if not begun and len(noted) == 1:
        return noted[0], "an epoch of the run records this file"
    return None, f"could be of {', '.join(str(run) for run in agreeing)}: name one with --run"


def _epoch_of(number: int | None, header: LoraHeader, run: TrainingRun) -> tuple[int | None, str]:
    total = _said(header.metadata, "ss_num_epochs")
    last = int(total) if total and total.isdecimal() else run.max_train_epochs
    if number is not None and header.epoch is not None and number != header.epoch:
        return None, f"its name says epoch {number} and its header {header.epoch}"
    epoch = number if number is not None else header.epoch
    if epoch is None and last is None:
        return None, "neither its name, its header nor the row says which epoch"
    if epoch is None:
        return last, f"epoch {last}: kohya gives the last one no number"
    if epoch < 1 or (run.max_train_epochs and epoch > run.max_train_epochs):
        return None, f"epoch {epoch} is not among the run's {run.max_train_epochs}"
    return epoch, f"epoch {epoch} by {'its name' if number is not None else 'its header'}"


def _begun(metadata: Mapping[str, str]) -> datetime | None:
    """When the training began; None where the file does not say."""
    text = _said(metadata, "ss_training_started_at")
    try:
        return datetime.fromtimestamp(float(text), UTC) if text else None
    except (ValueError, OverflowError, OSError):
        return None


def _said(metadata: Mapping[str, str], key: str) -> str | None:
    """kohya writes None as a text."""
    text = metadata.get(key)
    return None if text in (None, "", "None") else text


def _equal(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return str(theirs).lower() == str(ours).lower()
    try:
        one, other = float(theirs), float(ours if not isinstance(ours, list) else ours[0])
    except (TypeError, ValueError, IndexError):
        return str(theirs) == str(ours)
    return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
