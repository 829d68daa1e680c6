"""Which machines could be rented, in which order, and how long a run will take on one."""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runs.backends.base import Offer
from runs.backends.runpod_api import Gpu
from runs.models import TrainingJob, TrainingRun

HOURS_PER_EPOCH = 0.1  # where nothing is known: ten epochs in an hour, as the lab's procedure says
ENOUGH = 3  # past runs
_STOCK = ("HIGH", "MEDIUM", "LOW")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hours that a run will take, and in words what that is known from."""

    hours: float
    basis: str


def offers_from(
    gpus: Sequence[Gpu],
    stock: Mapping[str, Mapping[str, str]],
    volumes: Sequence[Mapping[str, str]],
    wanted: Sequence[str],
) -> list[Offer]:
    """The machines that are free where a volume of ours lies: in the order of `wanted`, then of stock, then of price."""
    known = {gpu.id: gpu for gpu in gpus}
    found = [
        (rank, _STOCK.index(level), Offer(gpu=name, data_center=place, volume=volume["id"], price=price, stock=level))
        for rank, name in enumerate(wanted)
        if name in known and (price := known[name].price) is not None
        for volume in volumes
        if (level := stock.get(place := volume["data_center"], {}).get(name, "NONE")) in _STOCK
    ]
    return [offer for _, _, offer in sorted(found, key=lambda each: (each[0], each[1], each[2].price))]


def no_offer_sentence(
    gpus: Sequence[Gpu],
    stock: Mapping[str, Mapping[str, str]],
    volumes: Sequence[Mapping[str, str]],
    wanted: Sequence[str],
) -> str:
    """Why there are no offers, and what would mend it."""
    if not volumes:
        return 'RUNPOD_VOLUMES names no volume: make a network volume in RunPod\'s console and name it, [{"id": "...", "data_center": "EU-RO-1"}].'
    names = [gpu.id for gpu in gpus]
    unknown = [name for name in wanted if name not in names]
    if len(unknown) == len(wanted):
        near = difflib.get_close_matches(unknown[0], names, n=3) if unknown else names[:3]
        return f"RUNPOD_GPUS names none that RunPod knows ({', '.join(unknown) or 'empty'}); did you mean {', '.join(near)}?"
    ours = {volume["data_center"] for volume in volumes}
    elsewhere = sorted(
        place
        for place, levels in stock.items()
        if place not in ours and any(levels.get(name, "NONE") != "NONE" for name in wanted)
    )
    here = ", ".join(sorted(ours))
    if elsewhere:
        return (
            f"None of RUNPOD_GPUS is free in {here}, where the volumes are; there are some in {', '.join(elsewhere)}: "
            "a volume there would make them usable."
        )
    return f"None of RUNPOD_GPUS is free in {here}, nor anywhere else, just now."


def estimate(run: TrainingRun) -> Estimate:
    """How long a run will take, from this lab's own trainings where there are enough."""
    epochs = run.epochs or 10
    rented = [
        lease.seconds["training"] / 3600 / job.epoch
        for job in TrainingJob.objects.filter(backend="runpod", status="finished", epoch__gt=0).prefetch_related(
            "leases"
        )[:50]
        for lease in job.leases.all()
        if lease.seconds.get("training")
    ]
    if len(rented) >= ENOUGH:
        return Estimate(hours=epochs * statistics.median(rented), basis=f"from {len(rented)} trainings on RunPod")
    past = [
        hours / of
        for hours, of in TrainingRun.objects.filter(training_duration_hours__gt=0, max_train_epochs__gt=0)
        .exclude(model_type="SDXL")
        .values_list("training_duration_hours", "max_train_epochs")
        if hours and of
    ]
    if len(past) >= ENOUGH:
        return Estimate(hours=epochs * statistics.median(past), basis=f"from {len(past)} past runs")
    return Estimate(hours=epochs * HOURS_PER_EPOCH, basis="a guess: there are no past runs to go by")
