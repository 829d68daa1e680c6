"""The acts around a training run: create, start, cancel, close. Pages, commands and tests call the same ones."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Func, Value
from django.db.models.functions import Coalesce
from django.forms.models import model_to_dict
from django.utils import timezone
from django_q.tasks import async_task

from punklab.diffusion.base import BaseError, BaseModel
from punklab.diffusion.profiles import Family
from punklab.diffusion.training_plan import TrainingError
from runs.backends import BACKENDS, RENTED, backend_of
from runs.bases import base_for
from runs.caption_checks import check
from runs.captions import CaptionVersionError, load_pairs
from runs.checkpoints import CheckpointError, examine
from runs.config import Config, ConfigError, columns_of, lint, parameters_of, read_config, write_config
from runs.endings import end, end_unrented
from runs.models import CaptionVersion, TrainingJob, TrainingRun
from runs.notes import with_line
from runs.package import REPEATS, PackageError, plan_of, version_of
from runs.tasks import is_lost, launch, reconcile

__all__ = ["ActError", "cancel", "caption_problems", "close", "create_run", "new_job", "reconcile", "start"]

MODEL_TYPES = {Family.SD15: "SD15", Family.SDXL: "SDXL", Family.MINIATURE: "other"}
MOST_HOURS = 48.0  # of rented machines for one job
VERDICTS = ("success", "failure", "partial")


class ActError(ValueError):
    """What was asked cannot be done; the message says why and what to do instead."""


def create_run(
    name: str,
    *,
    captions: CaptionVersion,
    config_text: str,
    base: str | None = None,
    repeats: int = 1,
    by: AbstractBaseUser | None = None,
) -> TrainingRun:
    """Make the row of a training that is still to be started, every column filled from the config.

    `base` None takes the model in the settings. `repeats` is how often each picture counts in an epoch. Raises ActError
    with everything that stands in the way: the config's errors, blocking captions, weights of another base to start from.
    """
    name = name.strip()
    config = _config(config_text)
    model = _base(base)
    problems = [
        *_name_problems(name),
        *([] if model.profile.renderable else [f"{model.name}: {model.profile.note}".rstrip(".")]),
        *([f"repeats is {repeats}; give 1 or more"] if repeats < 1 else []),
        *(f"{found.key}: {found.detail}: {found.mend}" for found in lint(config) if found.level == "error"),
        *_weights_problems(config, model),
        *caption_problems(captions),
    ]
    if problems:
        raise ActError(f"The run {name!r} was not created: " + "; ".join(problems) + ".")
    columns = columns_of(config)
    columns["output_name"] = columns["output_name"] or _file_name(name)
    columns["all_parameters"] |= {"output_name": columns["output_name"], REPEATS: repeats}
    if weights := config.values.get("network_weights"):  # the training's process starts in another folder
        columns["all_parameters"]["network_weights"] = str(Path(str(weights)).expanduser().resolve())
    run = TrainingRun(
        run_name=name,
        run_date=timezone.now(),
        status="in_progress",  # the lab knows no word for a run that waits for its start
        base_model=model.name,
        model_type=MODEL_TYPES[model.profile.family],
        training_data_path=captions.directory_path,
        num_images=captions.captions.count(),
        caption_format=_format_of(captions),
        caption_version=captions.version_name,
        overall_verdict="pending",
        production_ready=False,
        notes=f"Created{_by(by)}.",
        **columns,
    )
    try:
        with transaction.atomic():
            run.save(force_insert=True)
            _note_use(captions, run)
    except IntegrityError as error:
        raise ActError(f"There is a run called {name!r} already: choose another name.") from error
    return run


def start(
    run: TrainingRun, *, backend: str = "local", by: AbstractBaseUser | None = None, max_hours: float | None = None
) -> TrainingJob:
    """Queue a job for a run: its row, and here its task too, in one transaction. Raises ActError, as `new_job` does."""
    with transaction.atomic():
        job = new_job(run, backend=backend, by=by, max_hours=max_hours)
        if backend not in RENTED:  # for those the controller looks
            async_task(launch, job.pk, cluster=settings.REST_CLUSTER, task_name=f"launch job {job.pk}")
    return job


def new_job(
    run: TrainingRun, *, backend: str = "local", by: AbstractBaseUser | None = None, max_hours: float | None = None
) -> TrainingJob:
    """The row of a job, without anything that would start it. A run that failed or was cancelled goes on where it was.

    `max_hours`: of rented machines. Raises ActError: trained already, a job that has not ended, a base model that is not
    trained here, captions that are not here or have blocking findings, options that the trainer does not honour.
    """
    run.refresh_from_db()
    _refuse_start(run, backend)
    values = parameters_of(model_to_dict(run) | {"all_parameters": dict(run.all_parameters or {})})
    values.pop(REPEATS, None)
    values |= {
        "output_name": run.output_name or _file_name(run.run_name),
        "pretrained_model_name_or_path": run.base_model,
        "train_data_dir": "train_data",
        "output_dir": "output",
    }
    job = TrainingJob(
        run=run, backend=backend, by_id=by.pk if by else None, config=write_config(dict(sorted(values.items())))
    )
    job.folder = _folder_of(run, job.config)
    try:
        version = version_of(run)
        if backend in RENTED:
            job.max_hours = _rentable(run, version, job.config, max_hours)
        else:
            plan_of(job, base_for(run.base_model))
    except (TrainingError, PackageError, BaseError, ConfigError) as error:
        raise ActError(str(error)) from error
    try:
        with transaction.atomic():
            job.save()
            still_open = TrainingRun.objects.exclude(overall_verdict__in=VERDICTS).exclude(status="completed")
            if not still_open.filter(pk=run.pk).update(status="in_progress"):
                raise ActError(f"{run} was closed at this very moment: look at it again.")
    except IntegrityError as error:
        raise ActError(_unfinished_sentence(run)) from error
    run.status = "in_progress"
    return job


def cancel(run: TrainingRun, by: AbstractBaseUser | None = None, *, reason: str = "") -> TrainingJob:
    """Ask a run's job to end; at once where no process trains it. Epochs that are there stay. Raises ActError.

    `reason`, a sentence, goes into the job's message and the run's notes: who asked is then no person."""
    job = run.jobs.unfinished().first()
    if job is None:
        raise ActError(f"{run} has no job that could be cancelled.")
    TrainingJob.objects.unfinished().filter(pk=job.pk, cancel_requested_at=None).update(
        cancel_requested_at=timezone.now(),
        message=f"Asked to end{_by(by)}; its state is being saved. {reason}".rstrip(),
    )
    if reason:
        _note(run, reason)
    job.refresh_from_db()
    if job.backend in RENTED:
        end_unrented(job, f"Cancelled{_by(by)}. {reason}".rstrip())
    elif is_lost(job):
        end(job, TrainingJob.Status.CANCELLED, f"Cancelled{_by(by)}. {reason}".rstrip())
    else:
        backend_of(job).stop(job)
    job.refresh_from_db()
    return job


def close(
    run: TrainingRun,
    verdict: str,
    *,
    findings: str,
    quality_score: int | None = None,
    best_epoch: int | None = None,
    story: str = "",
    by: AbstractBaseUser | None = None,
) -> TrainingRun:
    """Write a person's verdict on a run: status, verdict, findings, quality score and best epoch together.

    A score or epoch that is not given stays as it is; `story` is added to what compares the run with others. Raises ActError naming everything that is wrong.
    """
    with transaction.atomic():
        row = TrainingRun.objects.select_for_update().get(pk=run.pk)
        problems = _close_problems(row, verdict, findings, quality_score, best_epoch)
        if problems:
            raise ActError(f"{run} was not closed: " + "; ".join(problems) + ".")
        line = f"{timezone.now():%Y-%m-%d}: closed as {verdict}{_by(by)}."
        row.status = "completed" if row.status == "in_progress" else row.status
        row.overall_verdict = verdict
        row.key_findings = with_line(row.key_findings, findings.strip())
        row.quality_score = row.quality_score if quality_score is None else quality_score
        row.best_epoch = row.best_epoch if best_epoch is None else best_epoch
        row.notes = with_line(row.notes, line)
        row.comparison_notes = with_line(row.comparison_notes, story) if story else row.comparison_notes
        row.save(update_fields=_CLOSING)
    run.refresh_from_db()
    return run


_CLOSING = (
    "status",
    "overall_verdict",
    "key_findings",
    "quality_score",
    "best_epoch",
    "notes",
    "comparison_notes",
)


def _note(run: TrainingRun, sentence: str) -> None:
    with transaction.atomic():
        row = TrainingRun.objects.select_for_update().get(pk=run.pk)
        row.notes = with_line(row.notes, f"{timezone.now():%Y-%m-%d}: {sentence}")
        row.save(update_fields=["notes"])


def _config(text: str) -> Config:
    try:
        return read_config(text)
    except ConfigError as error:
        raise ActError(str(error)) from error


def _base(name: str | None) -> BaseModel:
    try:
        return base_for(name)
    except BaseError as error:
        raise ActError(str(error)) from error


def _name_problems(name: str) -> list[str]:
    if not name or len(name) > 200 or not name.isprintable():
        return [f"the name {name!r} is no name: give 1 to 200 printable characters"]
    if TrainingRun.objects.filter(run_name=name).exists():
        return [f"there is a run called {name!r} already: choose another name"]
    return []


def _weights_problems(config: Config, base: BaseModel) -> list[str]:
    weights = config.values.get("network_weights")
    if not weights:
        return []
    try:
        examine(Path(str(weights)).expanduser(), base)
    except CheckpointError as error:
        return [f"network_weights: {error}".rstrip(".")]
    return []


def caption_problems(version: CaptionVersion) -> list[str]:
    """What in its captions keeps a version from being trained on; empty where nothing does."""
    try:
        found = check(load_pairs(version), blocking=settings.BLOCKING_CAPTION_FINDINGS)
    except CaptionVersionError as error:
        return [str(error)]
    blocking = [f"{finding.file}: {finding.detail} ({finding.code})" for finding in found if finding.blocking]
    rest = [f"and {len(blocking) - 5} captions more: `manage.py check_captions {version}`"] if len(blocking) > 5 else []
    return [*blocking[:5], *rest]


def _rentable(run: TrainingRun, version: CaptionVersion, config: str, max_hours: float | None) -> float:
    """The hours that may be rented; what would waste them is refused before any money is spent."""
    hours = settings.RUNPOD_MAX_HOURS if max_hours is None else max_hours
    problems = [
        *([] if 0.25 <= hours <= MOST_HOURS else [f"{hours:g} hours: give 0.25 to {MOST_HOURS:g}"]),
        *(
            f"{found.key}: {found.detail}: {found.mend}"
            for found in lint(read_config(config))
            if found.level == "error"
        ),
        *caption_problems(version),
    ]
    if problems:
        raise ActError(f"{run} is not sent to a rented machine: " + "; ".join(problems) + ".")
    return hours


def _refuse_start(run: TrainingRun, backend: str) -> None:
    if backend not in (*BACKENDS, *RENTED):
        raise ActError(f"There is no backend {backend!r}: choose one of {', '.join((*BACKENDS, *RENTED))}.")
    base = _base(run.base_model)
    if run.model_type == "SDXL" or not base.profile.renderable:
        raise ActError(f"{run} is a run of {run.base_model}: SDXL runs are kept and shown, not trained here.")
    if run.overall_verdict in VERDICTS:
        raise ActError(f"{run} is closed as {run.overall_verdict}: create a new run instead.")
    if run.jobs.unfinished().exists():
        raise ActError(_unfinished_sentence(run))
    if run.status == "completed":
        raise ActError(f"{run} is trained already: create a new run for another training.")


def _unfinished_sentence(run: TrainingRun) -> str:
    return f"{run} has a job that has not ended: wait for it, or cancel it with `manage.py cancel_run {run}`."


def _folder_of(run: TrainingRun, config: str) -> str:
    """The folder of an earlier job with the same config, whose state the new one goes on from, or a fresh one."""
    earlier = run.jobs.filter(config=config).first()
    return earlier.folder if earlier else f"training/{run.pk}/{run.jobs.count() + 1}"


def _note_use(version: CaptionVersion, run: TrainingRun) -> None:
    rows = CaptionVersion.objects.filter(pk=version.pk).exclude(used_in_training_runs__contains=[run.run_name])
    names = Coalesce(F("used_in_training_runs"), Value([], output_field=_NAMES))
    rows.update(used_in_training_runs=Func(names, Value(run.run_name), function="array_append", output_field=_NAMES))


_NAMES = CaptionVersion._meta.get_field("used_in_training_runs")


def _close_problems(
    run: TrainingRun, verdict: str, findings: str, quality_score: int | None, best_epoch: int | None
) -> list[str]:
    problems = []
    if run.jobs.unfinished().exists():
        problems.append("a job is still running: wait for it or cancel it first")
    if verdict not in VERDICTS:
        problems.append(f"the verdict {verdict!r} is none of {', '.join(VERDICTS)}")
    if not findings.strip():
        problems.append("findings are missing: say what was learnt, also from a failure")
    if quality_score is not None and not 0 <= quality_score <= 10:
        problems.append(f"the quality score {quality_score} is not from 0 to 10")
    if best_epoch is not None and not _has_epoch(run, best_epoch):
        problems.append(f"the run has no epoch {best_epoch}")
    return problems


def _has_epoch(run: TrainingRun, epoch: int) -> bool:
    known = run.checkpoints.filter(epoch=epoch).exists()
    return known or (epoch >= 1 and (not run.epochs or epoch <= run.epochs))


def _format_of(version: CaptionVersion) -> str:
    words = (version.detail_level or "plain").replace("very_", "")
    return f"{words}_with_hex" if version.includes_hex_codes else words


def _file_name(name: str) -> str:
    """A name as a part of file names: letters, digits, dash, dot and underscore."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-._") else "_" for sign in name).strip(".")[
        :80
    ]


def _by(person: AbstractBaseUser | None) -> str:
    return f" by {person.get_username()}" if person else ""
