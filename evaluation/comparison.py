"""The baseline beside the epochs of a run, prompt by prompt: what a page or a sheet shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation import results
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
    def metrics(self) -> results.Metrics:
        """What was measured over all its pictures, in percent; empty before that."""
        if self.epoch_result is not None:
            return results.metrics_ours(self.epoch_result) or {}
        measured = [render.measures for render in self.renders if render and render.measures]
        return results.metrics_of(measured) if measured else {}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    prompts: Sequence[TestPrompt]
    rows: Sequence[Row]


def compare(run: TrainingRun, epochs: Sequence[int] | None = None, others: Sequence[Checkpoint] = ()) -> Comparison:
    """The base without a LoRA, `others` (a baseline of another run, the live release), then the run's epochs.

    `epochs` None takes all. Five queries, however many epochs there are."""
    mine = Checkpoint.objects.filter(run=run, epoch__gt=0).order_by("epoch")
    if epochs is not None:
        mine = mine.filter(epoch__in=epochs)
    bases = Checkpoint.objects.filter(source=Checkpoint.Source.BASE, base_model=base_for(run.base_model).name)
    checkpoints = [*bases.order_by("-created_at")[:1], *others, *mine.select_related("run")]
    renders = list(
        TestRender.objects.filter(checkpoint__in=checkpoints)
        .exclude(status=Status.CANCELLED)
        .select_related("test_prompt")
        .order_by("queued_at", "pk")
    )
    latest = {(render.checkpoint_id, render.test_prompt_id): render for render in renders}
    prompts = {render.test_prompt_id: render.test_prompt for render in sorted(renders, key=lambda each: each.priority)}
    rows_of_epochs = {
        (row.training_run_id, row.epoch_number): row
        for row in EpochResult.objects.filter(training_run__in={each.run_id for each in checkpoints if each.run_id})
    }
    entries = ScoreEntry.objects.filter(
        epoch_result__in=rows_of_epochs.values(), source=ScoreEntry.Source.MACHINE
    ).exclude(reasons=[])
    suggestions = {entry.epoch_result_id: entry for entry in entries.order_by("created_at", "pk")}
    rows = []
    for checkpoint in checkpoints:
        row = rows_of_epochs.get((checkpoint.run_id, checkpoint.epoch or 0))
        rows.append(
            Row(
                label=str(checkpoint) if checkpoint.run_id != run.pk else f"epoch {checkpoint.epoch}",
                checkpoint=checkpoint,
                epoch_result=row,
                suggestion=suggestions.get(row.pk) if row else None,
                renders=[latest.get((checkpoint.pk, prompt)) for prompt in prompts],
            )
        )
    return Comparison(prompts=list(prompts.values()), rows=rows)
