"""Take a LoRA file in: read, check against its base, store, make a row. Nothing of it is believed before that."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from punklab.diffusion.base import BaseError, BaseModel
from punklab.diffusion.lora import LoraError, LoraHeader, check_for_base, read_header
from punklab.files import copy_whole, link_whole, sha256_of
from runs.models import Checkpoint, TrainingRun

LONGEST_METADATA = 2000  # characters; kohya's tag frequencies can take a megabyte


class CheckpointError(Exception):
    """A file that cannot be a checkpoint of this run; the message names the file and the reason."""


def register(
    path: Path, *, run: TrainingRun | None, epoch: int | None, source: Checkpoint.Source, base: BaseModel
) -> Checkpoint:
    """Store the LoRA in `path` and return its checkpoint; the one that is there already when it is known.

    `epoch` None takes the header's. Raises CheckpointError for anything but a readable safetensors LoRA for `base`, and
    where the epoch already has other weights; OSError when the file cannot be stored.
    """
    header = examine(path, base)
    epoch = header.epoch if epoch is None else epoch
    weights = weights_sha256(path)
    known = Checkpoint.objects.filter(run=run, epoch=epoch, source__in=(source, *_FILES)).first() if run else None
    known = known or Checkpoint.objects.filter(run=run, sha256=header.sha256).first()
    if known:
        return _same(known, header, epoch, weights)
    checkpoint = Checkpoint(
        run=run,
        epoch=epoch,
        file=_store(path, header, source),
        original_name=path.name[:500],
        sha256=header.sha256,
        size=header.size,
        base_model=base.name,
        base_fingerprint=base.fingerprint if base.folder else "",
        header=facts(header) | {"weights_sha256": weights},
        source=source,
    )
    try:
        with transaction.atomic():
            checkpoint.save()
    except IntegrityError:  # another process registered this epoch a moment before
        return _same(Checkpoint.objects.get(run=run, epoch=epoch), header, epoch, weights)
    return checkpoint


def examine(path: Path, base: BaseModel) -> LoraHeader:
    """The header of a LoRA that can be used with `base`. Raises CheckpointError."""
    try:
        header = read_header(path)
        check_for_base(header, base)
    except (LoraError, BaseError) as error:
        raise CheckpointError(str(error)) from error
    return header


def base_alone(base: BaseModel) -> Checkpoint:
    """The checkpoint that stands for `base` without a LoRA, made once. Raises BaseError where its files are not here."""
    checkpoint, _ = Checkpoint.objects.get_or_create(
        source=Checkpoint.Source.BASE, base_model=base.name, base_fingerprint=base.fingerprint
    )
    return checkpoint


def facts(header: LoraHeader) -> dict[str, Any]:
    """What a checkpoint's row keeps of its header."""
    return {
        "dim": header.dim,
        "alpha": header.alpha,
        "conv_dim": header.conv_dim,
        "conv_alpha": header.conv_alpha,
        "epoch": header.epoch,
        "n_unet": header.n_unet,
        "n_text_encoder": header.n_text_encoder,
        "metadata": {
            key: value.replace("\0", "") for key, value in header.metadata.items() if len(value) <= LONGEST_METADATA
        },
    }


def weights_sha256(path: Path) -> str:
    """SHA-256 of a safetensors file's data, without its header: equal for equal weights saved at another time."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()


_FILES = (Checkpoint.Source.TRAINED, Checkpoint.Source.ADOPTED)


def _same(known: Checkpoint, header: LoraHeader, epoch: int | None, weights: str) -> Checkpoint:
    if known.epoch == epoch and (known.sha256 == header.sha256 or known.header.get("weights_sha256") == weights):
        return known
    if known.sha256 == header.sha256:
        raise CheckpointError(f"{header.path.name} is registered already, as {known}: it cannot be epoch {epoch} too.")
    raise CheckpointError(
        f"{header.path.name} is not {known} as it was registered ({known.sha256[:12]}, this file {header.sha256[:12]}): "
        "a checkpoint never changes. Create a new run for other weights."
    )


def _store(path: Path, header: LoraHeader, source: Checkpoint.Source) -> str:
    name = f"checkpoints/{header.sha256}.safetensors"
    target = Path(settings.STORAGE_DIR) / name
    if target.is_file() and sha256_of(target) == header.sha256:
        return name
    # Our trainer replaces its files, it never writes into them; what lies in a person's folder may be written to.
    place = link_whole if source == Checkpoint.Source.TRAINED else copy_whole
    place(path, target, header.sha256)
    return name
