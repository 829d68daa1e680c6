"""How long a run will take on a rented machine, and how much room it needs there."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runs.models import Caption, Lease, TrainingJob, TrainingRun
from runs.package import bytes_needed, repeats_of

HOURS_PER_EPOCH = 0.1  # where nothing is known: ten epochs in an hour, as the lab's procedure says
LATEST = 20  # trainings that are looked at
NAMES = (("training", "trainings"), ("past run of the lab", "past runs of the lab"))
TRAINING = "training"  # the pod's phase that grows with the pictures; the others are setup


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hours that a run will take, in words what that is known from, and bytes that must be free on the volume."""

    hours: float
    basis: str
    need_bytes: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a past training went. `seconds`: for each picture that was learned from once; `setup`: before that."""

    gpu: str
    kind: tuple[object, ...]
    seconds: float
    setup: float


def estimates(run: TrainingRun, gpus: Iterable[str]) -> dict[str, Estimate]:
    """For each GPU: from our own trainings of such runs on it, else on others, else from the lab's rows, else a guess.

    Four queries."""
    pictures = pictures_of(run)
    known = [
        [pace for pace in paces if pace.kind == _kind(run)]
        for paces in ((own_paces(), lab_paces()) if pictures else ())
    ]
    need = bytes_needed(run)
    return {gpu: _estimate(run, gpu, pictures, need, known) for gpu in gpus}


def _estimate(run: TrainingRun, gpu: str, pictures: int, need: int, known: Sequence[Sequence[Pace]]) -> Estimate:
    for such, (one, many) in zip(known, NAMES, strict=False):
        on_it = [pace for pace in such if _is_on(pace, gpu)]
        if found := on_it or such:
            seconds = statistics.median(pace.seconds for pace in found) * pictures
            setup = statistics.median(pace.setup for pace in found)
            basis = f"from {len(found)} {one if len(found) == 1 else many} on {gpu if on_it else 'other GPUs'}"
            return Estimate(hours=(seconds + setup) / 3600, basis=basis, need_bytes=need)
    hours = (run.epochs or 10) * HOURS_PER_EPOCH
    return Estimate(hours=hours, basis="a guess: no past run is like it", need_bytes=need)


def pictures_of(run: TrainingRun) -> int:
    """How many pictures a run will learn from, each time counted; 0 where the row does not say."""
    images = Caption.objects.filter(version__version_name=run.caption_version or "").count()
    return (images or run.num_images or 0) * repeats_of(run) * run.epochs


def own_paces() -> list[Pace]:
    """Of the latest finished trainings on rented machines. A job that went on has its earlier jobs' time too."""
    jobs = list(
        TrainingJob.objects.filter(backend="runpod", status=TrainingJob.Status.FINISHED, total_steps__gt=0)
        .select_related("run")
        .order_by("-pk")[:LATEST]
    )
    leases: dict[str, list[Lease]] = defaultdict(list)
    for lease in Lease.objects.filter(job__folder__in=[job.folder for job in jobs]).select_related("job"):
        leases[lease.job.folder].append(lease)
    return [pace for job in jobs if (pace := _own_pace(job, leases[job.folder]))]


def lab_paces() -> list[Pace]:
    """Of the lab's rows of runs that were trained elsewhere."""
    rows = TrainingRun.objects.filter(training_duration_hours__gt=0, jobs=None).order_by("-pk")[:LATEST]
    return [
        Pace(gpu=run.gpu_type or "", kind=_kind(run), seconds=run.training_duration_hours * 3600 / pictures, setup=0.0)
        for run in rows
        if run.training_duration_hours
        and (pictures := _learned(run, run.total_steps or 0) or (run.num_images or 0) * repeats_of(run) * run.epochs)
    ]


def _own_pace(job: TrainingJob, leases: Sequence[Lease]) -> Pace | None:
    gpus = {lease.gpu for lease in leases if lease.seconds.get(TRAINING)}
    if len(gpus) != 1:
        return None
    trained = sum(float(lease.seconds.get(TRAINING, 0)) for lease in leases)
    setups = [_sum(seconds for phase, seconds in lease.seconds.items() if phase != TRAINING) for lease in leases]
    return Pace(
        gpu=gpus.pop(),
        kind=_kind(job.run),
        seconds=trained / _learned(job.run, job.total_steps),
        setup=statistics.median(setups),
    )


def _learned(run: TrainingRun, steps: int) -> int:
    return steps * (run.train_batch_size or 1) * (run.gradient_accumulation_steps or 1)


def _kind(run: TrainingRun) -> tuple[object, ...]:
    """What makes the time of one picture comparable."""
    return (run.model_type, *re.findall(r"\d+", run.resolution or ""))


def _is_on(pace: Pace, gpu: str) -> bool:
    """The lab's rows write "A100-SXM4-80GB" for what RunPod calls "NVIDIA A100-SXM4-80GB"."""
    return bool(pace.gpu) and pace.gpu in gpu


def _sum(values: Iterable[object]) -> float:
    return sum(float(value) for value in values if isinstance(value, int | float))
