"""The training package: what a backend needs to train a job, laid out as kohya reads it.

`train_data/N_name/` holds the pictures and captions (N: how often each counts in an epoch), `training_config.toml` the
options with paths relative to the package. A package is written once: a job that goes on after a pause sees the
captions it began with.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from PIL import Image

from punklab.diffusion.base import BaseModel
from punklab.diffusion.training_plan import TrainingPlan
from punklab.files import write_whole
from punklab.pixels.grid import SIDE, enlarge
from runs.caption_pairs import PairError
from runs.captions import CaptionVersionError, export_captions, load_pairs
from runs.config import read_config, write_config
from runs.kohya import effective, resolution_of
from runs.models import CaptionVersion, TrainingJob, TrainingRun

UNEVEN = (512, 96)  # a run that says so: SD 1.5's own size, and the miniature's
CHECKPOINT_BYTES = 37 * 10**6  # of a LoRA of rank 32, as the lab's are
STATE_CHECKPOINTS = 4  # a saved state takes as much as so many checkpoints; two are kept
STALL_SECONDS = 1800
# What a pod needs whatever the run says: kohya ignores .txt captions by default, and every epoch is tested.
POD_OPTIONS = {
    "caption_extension": ".txt",
    "save_every_n_epochs": 1,
    "save_model_as": "safetensors",
    "save_state": True,
    "network_module": "networks.lora",
}
# Options that say where things lie on this machine, and those that kohya refuses without them.
SITES_OPTIONS = (
    "console_log_file",
    "log_config",
    "log_tracker_config",
    "log_with",
    "logging_dir",
    "sample_at_first",
    "sample_every_n_epochs",
    "sample_every_n_steps",
    "sample_prompts",
    "tokenizer_cache_dir",
)
WEIGHTS = "network_weights.safetensors"


class PackageError(Exception):
    """A run's captions cannot be laid out as files; the message names the caption and the mend."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """The places in a job's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "training_config.toml"

    @property
    def train_data_dir(self) -> Path:
        return self.folder / "train_data"

    @property
    def output_dir(self) -> Path:
        return self.folder / "output"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"


def write_package(job: TrainingJob) -> Package:
    """Write what of the job's package is not there yet; return it. Raises PackageError, and OSError (a full disk)."""
    package = Package(folder=job.path)
    package.output_dir.mkdir(parents=True, exist_ok=True)
    package.state_dir.mkdir(exist_ok=True)
    folder = package.train_data_dir / f"{repeats_of(job.run)}_{concept_of(job.run)}"
    if not folder.is_dir():
        try:
            export_captions(version_of(job.run), folder)
        except CaptionVersionError as error:
            raise PackageError(f"{job.run}: {error}") from error
    write_whole(package.config, job.config.encode())
    return package


def build_package(job: TrainingJob) -> bytes:
    """The zip of `pack`, made once and kept with the job: one that goes on sees the captions that it began with.

    Raises PackageError naming caption and mend, ConfigError, and OSError.
    """
    kept = job.path / "package.zip"
    if kept.is_file():
        return kept.read_bytes()
    content = pack(job)
    write_whole(kept, content)
    return content


def pack(job: TrainingJob) -> bytes:
    """The zip that goes to a rented machine: pictures on their 24x24 grid enlarged to the training size, captions, config,
    manifest; the same bytes for the same input. Raises PackageError naming caption and mend, and ConfigError.
    """
    values = read_config(job.config).values
    width, height = resolution_of(effective(values, "resolution")) or (0, 0)
    if width != height or not (width % 192 == 0 or width in UNEVEN) or not width:
        raise PackageError(
            f"{job.run}: resolution {values.get('resolution')!r} is none of 384, 576, 768 (multiples of 192) or 512: "
            "pixels of a punk would differ in size."
        )
    folder = f"train_data/{repeats_of(job.run)}_{concept_of(job.run)}"
    try:
        pairs = load_pairs(version_of(job.run))
    except (CaptionVersionError, PairError) as error:
        raise PackageError(f"{job.run}: {error}") from error
    files = {}
    values = {name: value for name, value in values.items() if name not in SITES_OPTIONS}
    if weights := values.get("network_weights"):  # a file of this machine: it goes along
        values["network_weights"] = WEIGHTS
        files[WEIGHTS] = _weights(job, Path(str(weights)))
    files["training_config.toml"] = write_config(dict(sorted((values | POD_OPTIONS).items()))).encode()
    for pair in pairs:
        assert pair.cells is not None
        files[f"{folder}/{pair.stem}.png"] = _picture(pair.cells, width)
        files[f"{folder}/{pair.stem}.txt"] = pair.text.encode()
    listed = [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    files["manifest.json"] = canonical({"version": 1, "files": listed})
    return _zipped(files)


def spec_of(job: TrainingJob, key: str, package: bytes) -> bytes:
    """`spec.json` of docs/pod.md for the job's folder `key`."""
    values = read_config(job.config).values
    images = version_of(job.run).captions.count() * repeats_of(job.run)
    batch = max(1, int(effective(values, "train_batch_size") or 1))
    accumulated = max(1, int(effective(values, "gradient_accumulation_steps") or 1))
    epochs = job.run.epochs
    sha256 = hashlib.sha256(package).hexdigest()
    return canonical(
        {
            "version": 1,
            "job": key,
            "kind": "train",
            "package": {"key": f"packages/{sha256}.zip", "size": len(package), "sha256": sha256},
            "output_name": job.run.output_name or concept_of(job.run),
            "epochs": epochs,
            "total_steps": math.ceil(math.ceil(images / batch) / accumulated) * epochs,
            "trainer": {
                "repository": settings.KOHYA_REPOSITORY,
                "tag": settings.KOHYA_TAG,
                "commit": settings.KOHYA_COMMIT,
            },
            "need_bytes": bytes_needed(job.run),
            "checkpoint_bytes": _checkpoint_bytes(job.run),
            "stall_seconds": STALL_SECONDS,
        }
    )


def bytes_needed(run: TrainingRun) -> int:
    """What must be free on a volume for a run: its epochs, two saved states, and what every pod needs."""
    return _checkpoint_bytes(run) * (run.epochs + 2 * STATE_CHECKPOINTS) + int(settings.RUNPOD_NEED_BYTES)


def _checkpoint_bytes(run: TrainingRun) -> int:
    return CHECKPOINT_BYTES * max(1, run.network_dim or 32) // 32


def canonical(value: object) -> bytes:
    """JSON whose bytes depend on the value alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _weights(job: TrainingJob, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageError(
            f"{job.run}: network_weights {path} cannot be read ({error.strerror}): put the file back there."
        ) from error


def _picture(cells: NDArray[np.uint8], size: int) -> bytes:
    file = io.BytesIO()
    picture = (
        enlarge(cells, size // SIDE)
        if size % SIDE == 0
        else enlarge(cells, 1).resize((size, size), Image.Resampling.NEAREST)
    )
    picture.save(file, "PNG", optimize=False, compress_level=6)
    return file.getvalue()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip with nothing of this machine or moment in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return file.getvalue()


def plan_of(job: TrainingJob, base: BaseModel, device: str = "cpu") -> TrainingPlan:
    """What our trainer is to do for a job. Raises ConfigError and TrainingError naming what it cannot honour."""
    package = Package(folder=job.path)
    return TrainingPlan.from_config(
        read_config(job.config).values,
        base=base,
        train_data_dir=package.train_data_dir,
        output_dir=package.output_dir,
        state_dir=package.state_dir,
        device=device,
    )


def version_of(run: TrainingRun) -> CaptionVersion:
    """The caption version that a run is trained on. Raises PackageError when its captions are not here."""
    version = CaptionVersion.objects.filter(version_name=run.caption_version or "").first()
    if version is None or not version.captions.exists():
        raise PackageError(
            f"{run} is to be trained on the captions {run.caption_version!r}, whose pictures and texts are not here: "
            f"import them with `manage.py import_captions DIR --name {run.caption_version}`."
        )
    return version


def repeats_of(run: TrainingRun) -> int:
    """How often each picture counts in an epoch: kohya reads it from the folder's name, we keep it with the row."""
    return int((run.all_parameters or {}).get(REPEATS) or 1)


def concept_of(run: TrainingRun) -> str:
    """The second half of the folder's name, which kohya takes for a caption where a picture has none."""
    return "".join(sign if sign.isalnum() else "_" for sign in run.output_name or run.run_name)[:80]


# Not an option of kohya's: it stands in `all_parameters` only, never in a config.
REPEATS = "repeats"
