"""Closing a run with its story: what was tried, what it changed against its parent, and what the scores say of it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from evaluation import selection
from evaluation.standing import Standing, standings
from runs import training
from runs.models import RunPlan, TrainingRun
from runs.parameters import words


def close(
    run: TrainingRun,
    verdict: str,
    *,
    findings: str,
    quality_score: int | None = None,
    best_epoch: int | None = None,
    by: User | None = None,
) -> TrainingRun:
    """Close a run as `runs.training.close` does, and write its story into its comparison notes. Raises ActError.

    A best epoch that is named here and is not the one that holds becomes a person's choice of it."""
    story = story_of(run, verdict, findings=findings, best_epoch=best_epoch, by=by)
    with transaction.atomic():
        closed = training.close(
            run, verdict, findings=findings, quality_score=quality_score, best_epoch=best_epoch, story=story, by=by
        )
        epochs = set(closed.epoch_results.values_list("epoch_number", flat=True)) - {selection.for_run(closed).epoch}
        if best_epoch in epochs:
            selection.choose(closed, best_epoch, f"Named when the run was closed as {verdict}. {findings}", by=by)
    return closed


def story_of(
    run: TrainingRun,
    verdict: str,
    *,
    findings: str,
    best_epoch: int | None = None,
    by: User | None = None,
) -> str:
    """The run's story in a paragraph: who closed it when, hypothesis, changes, scores beside the parent's, findings."""
    plan = RunPlan.objects.filter(run=run).select_related("parent").first()
    parent = plan.parent if plan else None
    known = standings([run, parent] if parent else [run])
    best = known[run.pk].best
    told = [f"{timezone.now():%Y-%m-%d}, closed as {verdict}{f' by {by.get_username()}' if by else ''}."]
    if plan and plan.hypothesis:
        told.append(f"Hypothesis: {_sentence(plan.hypothesis)}")
    if plan and parent:
        changes = [f"{name} {words(before)} to {words(after)}" for name, (before, after) in plan.changes.items()]
        told.append(f"Changed against {parent}: {', '.join(changes) or 'nothing'}.")
    told.append(f"Scores: {known[run.pk]}.")
    if parent:
        told.append(_beside(parent, known[run.pk], known[parent.pk]))
    if best_epoch is not None and best and best.epoch_number != best_epoch:
        told.append(f"Epoch {best_epoch} was chosen as the best.")
    if plan and plan.outcome:
        told.append(f"Criterion: {plan.outcome[0].lower()}{plan.outcome[1:]}")
    told.append(f"Findings: {_sentence(findings)}")
    return " ".join(told)


def _beside(parent: TrainingRun, mine: Standing, theirs: Standing) -> str:
    if mine.average is None or theirs.average is None:
        return f"{parent}: {theirs}."
    change = mine.average - theirs.average
    how = "as good" if abs(change) < 0.05 else f"{abs(change):.1f} {'better' if change > 0 else 'worse'}"
    return f"{parent}: {theirs}, so this run is {how}."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
