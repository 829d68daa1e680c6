"""The baseline beside the epochs of a run, prompt by prompt: what a page or a sheet shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation import metrics, results
from evaluation.models import EpochResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from runs.bases import base_for
from runs.models import Checkpoint, TrainingRun


@dataclass(frozen=True, kw_only=True)
class Row:
    """One checkpoint; `renders` in the order of the comparison's prompts, None where there is no picture yet."""

    label: str
    checkpoint: Checkpoint
    epoch_result: EpochResult | None
    suggestion: ScoreEntry | None
    renders: Sequence[TestRender | None]

    @property
    def metrics(self) -> metrics.Metrics:
        """What was measured over all its pictures, in percent; empty before that."""
        if self.epoch_result is not None:
            return results.metrics_ours(self.epoch_result) or {}
        measured = [render.measures for render in self.renders if render and render.measures]
        current = [found for found in measured if metrics.is_current(found)]
        return metrics.metrics_of(current, "") if current else {}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    prompts: Sequence[TestPrompt]
    rows: Sequence[Row]


def compare(run: TrainingRun, epochs: Sequence[int] | None = None, others: Sequence[Checkpoint] = ()) -> Comparison:
    """The base without a LoRA, `others` (a baseline of another run, the live release), then the run's epochs.

    `epochs` None takes all. Five queries, however many epochs there are."""
    mine = Checkpoint.objects.filter(run=run, epoch__gt=0).select_related("run").order_by("epoch")
    if epochs is not None:
        mine = mine.filter(epoch__in=epochs)
    bases = Checkpoint.objects.filter(source=Checkpoint.Source.BASE, base_model=base_for(run.base_model).name)
    checkpoints = [*bases.order_by("-created_at")[:1], *others, *mine]
    renders = _renders(checkpoints)
    latest = {(render.checkpoint_id, render.test_prompt_id): render for render in renders}
    prompts = {render.test_prompt_id: render.test_prompt for render in sorted(renders, key=lambda each: each.priority)}
    epoch_results = _epoch_results(checkpoints)
    suggestions = _suggestions(epoch_results.values())
    rows = []
    for checkpoint in checkpoints:
        epoch_result = epoch_results.get((checkpoint.run_id, checkpoint.epoch))
        rows.append(
            Row(
                label=f"epoch {checkpoint.epoch}" if checkpoint.run_id == run.pk else str(checkpoint),
                checkpoint=checkpoint,
                epoch_result=epoch_result,
                suggestion=suggestions.get(epoch_result.pk) if epoch_result else None,
                renders=[latest.get((checkpoint.pk, prompt)) for prompt in prompts],
            )
        )
    return Comparison(prompts=list(prompts.values()), rows=rows)


def _renders(checkpoints: Sequence[Checkpoint]) -> list[TestRender]:
    """The checkpoints' test renders with the first of the suite's seeds, the latest last."""
    renders = TestRender.objects.filter(
        checkpoint__in=checkpoints, is_repeat=False, priority__lt=TestRender.LATER_SEEDS
    ).exclude(status=Status.CANCELLED)
    return list(renders.select_related("test_prompt").order_by("queued_at", "pk"))


def _epoch_results(checkpoints: Sequence[Checkpoint]) -> dict[tuple[int | None, int | None], EpochResult]:
    """The rows of the checkpoints' runs by run and epoch."""
    runs = {each.run_id for each in checkpoints if each.run_id}
    return {(row.training_run_id, row.epoch_number): row for row in EpochResult.objects.filter(training_run__in=runs)}


def _suggestions(epoch_results: Iterable[EpochResult]) -> dict[int, ScoreEntry]:
    """The latest suggestion for each row by its key."""
    entries = ScoreEntry.objects.filter(epoch_result__in=epoch_results, source=ScoreEntry.Source.MACHINE)
    return {entry.epoch_result_id: entry for entry in entries.exclude(reasons=[]).order_by("created_at", "pk")}
