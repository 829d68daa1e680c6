"""The training package: what a backend needs to train a job, laid out as kohya reads it.

`train_data/N_name/` holds the pictures and captions (N: how often each counts in an epoch), `training_config.toml` the
options with paths relative to the package. A package is written once: a job that goes on after a pause sees the
captions it began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from punklab.diffusion.base import BaseModel
from punklab.diffusion.training_plan import TrainingPlan
from punklab.files import write_whole
from runs.captions import CaptionVersionError, export_captions
from runs.config import read_config
from runs.models import CaptionVersion, TrainingJob, TrainingRun


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
