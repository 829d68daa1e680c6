"""What was measured of a run's epochs, side by side: means with spread, changes beside the noise, traits obeyed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from evaluation import metrics, noise
from evaluation.metrics import Measure, Measured
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from punklab.diffusion.base import BaseError
from runs.bases import base_for
from runs.models import Checkpoint, TrainingRun

Pictures = Mapping[tuple[int, int], Measured]


@dataclass(frozen=True)
class Line:
    """One measure of an epoch: `mean` and `spread` (standard deviation) over its `n` pictures, and what changed."""

    measure: Measure
    mean: float
    spread: float | None
    n: int
    since_previous: noise.Delta | None
    over_baseline: noise.Delta | None


@dataclass(frozen=True)
class EpochMeasures:
    """All lines of one epoch; `previous` is the epoch compared with, `baseline` what the baseline is called."""

    lines: Sequence[Line]
    n_pictures: int
    previous: int | None
    baseline: str | None
    noise_is_known: bool


@dataclass(frozen=True)
class TraitRow:
    """A trait over epochs: (obeyed, judged) of each, None where nothing of it was judged."""

    trait: str
    cells: Sequence[tuple[int, int] | None]


@dataclass(frozen=True)
class TraitMatrix:
    """Traits by epochs; `names` are the columns' titles, the baseline first where there is one."""

    names: Sequence[str]
    rows: Sequence[TraitRow]


def measures_of(result: EpochResult) -> EpochMeasures | None:
    """An epoch's measures beside the epoch before it and the base without a LoRA; None before they are measured."""
    run = result.training_run
    own = metrics.ours(result.quantitative_metrics)
    if own is None or not metrics.is_current(own):
        return None
    mine, before, base = _drawn(run, result.epoch_number) if run is not None else (None, None, None)
    known = noise.for_run(run) if run is not None else {}
    since = _changes(mine, before, known)
    over = _changes(mine, base, known)
    lines = [
        Line(
            measure,
            own["means"][measure.key],
            own["spread"].get(measure.key),
            own["judged"][measure.key],
            since.get(measure.key),
            over.get(measure.key),
        )
        for measure in metrics.MEASURES
        if measure.key in own["means"]
    ]
    return EpochMeasures(
        lines,
        own["n_pictures"],
        before.epoch if before else None,
        str(base) if base else None,
        bool(known),
    )


def trait_matrix(run: TrainingRun) -> TraitMatrix | None:
    """Which traits each epoch of a run obeyed, the base without a LoRA first; None where nothing is measured."""
    columns: list[tuple[str, metrics.Metrics]] = []
    base = base_alone_for(run)
    if base is not None and (pictures := _pictures(base)):
        columns.append(("base", metrics.metrics_of(list(pictures.values()), "")["traits"]))
    for row in EpochResult.objects.filter(training_run=run).order_by("epoch_number"):
        own = metrics.ours(row.quantitative_metrics)
        if own is not None and metrics.is_current(own) and own["traits"]:
            columns.append((str(row.epoch_number), own["traits"]))
    traits = [trait for trait in metrics.TRAITS if any(trait in counts for _, counts in columns)]
    rows = [TraitRow(trait, [_cell(counts.get(trait)) for _, counts in columns]) for trait in traits]
    return TraitMatrix([name for name, _ in columns], rows) if rows else None


def _drawn(run: TrainingRun, epoch: int) -> tuple[Checkpoint | None, Checkpoint | None, Checkpoint | None]:
    """The checkpoints of an epoch, of the last drawn one before it, and the base without a LoRA."""
    drawn = TestRender.objects.filter(checkpoint=OuterRef("pk"), status=Status.RENDERED)
    known = Checkpoint.objects.filter(Exists(drawn), run=run, epoch__gt=0, epoch__lte=epoch).select_related("run")
    latest = list(known.order_by("-epoch")[:2])
    mine = next((each for each in latest if each.epoch == epoch), None)
    before = next((each for each in latest if each.epoch != epoch), None)
    return mine, before, base_alone_for(run)


def base_alone_for(run: TrainingRun) -> Checkpoint | None:
    """The base that a run was trained on, without a LoRA; None where that base is not here or was never drawn."""
    try:
        name = base_for(run.base_model).name
    except BaseError:  # one of the lab's past runs, on a base that is not here
        return None
    bases = Checkpoint.objects.filter(source=Checkpoint.Source.BASE, base_model=name)
    return bases.order_by("-created_at").first()


def _pictures(checkpoint: Checkpoint | None) -> Pictures:
    return noise.drawn_by(list(TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED)))


def _changes(mine: Checkpoint | None, other: Checkpoint | None, known: noise.Noise) -> dict[str, noise.Delta]:
    if mine is None or other is None:
        return {}
    return {delta.measure.key: delta for delta in noise.deltas(_pictures(mine), _pictures(other), known)}


def _cell(counts: Sequence[int] | None) -> tuple[int, int] | None:
    return (counts[1], counts[0]) if counts and counts[0] else None
