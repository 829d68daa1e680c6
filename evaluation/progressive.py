"""Which suite a new checkpoint gets by itself: few pictures of early epochs, all of the expected best; by changeable rules."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from evaluation import convergence, results, suite
from evaluation.models import EpochResult, ScoreEntry, TestRender
from evaluation.renderjob import FINAL, Status
from evaluation.suite_models import SuiteRule
from punklab.diffusion.base import BaseError, BaseModel
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint, TrainingJob, TrainingRun

logger = logging.getLogger(__name__)

FEWEST_PICTURES = 3  # one lucky picture makes no epoch the best


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The suite that the rules give a checkpoint: `wanted` by its rule, `size` what fits its minutes on this machine."""

    wanted: str
    size: str
    reason: str  # why not the wanted one, where it is another

    def __str__(self) -> str:
        return self.size if self.size == self.wanted else f"{self.size} instead of {self.wanted}: {self.reason}"


def choose(checkpoint: Checkpoint, *, is_best: bool = False) -> Choice | None:
    """The suite for a checkpoint; None where no rule names it. Raises SuiteError when it cannot be drawn."""
    rule = _rule_for(checkpoint, is_best=is_best)
    return None if rule is None else _fitted(rule, suite.whole(checkpoint))


def choices_for(checkpoint: Checkpoint) -> list[tuple[SuiteRule, Choice]]:
    """Each rule, and the suite that it gives on this machine to what is drawn as this checkpoint is.

    Raises SuiteError when it cannot be drawn."""
    whole = suite.whole(checkpoint)
    return [(rule, _fitted(rule, whole)) for rule in SuiteRule.objects.order_by("first_epoch", "pk")]


def queue_untested() -> int:
    """Give new trained checkpoints, their bases and the expected best epochs their suites; return how many were queued.

    Scheduled each minute. Past files that were adopted get their epoch's row; their pictures are drawn when a person asks
    for them. What a person cancelled stays cancelled."""
    for checkpoint in _without_row():
        results.epoch_result_for(checkpoint)
    n_queued = 0
    bases: dict[str, BaseModel] = {}
    for checkpoint in _without_tests():
        try:
            n_queued += _queue(checkpoint)
            bases.setdefault(checkpoint.base_model, base_for(checkpoint.base_model))
        except suite.SuiteError as error:
            logger.warning("no test pictures for %s: %s", checkpoint, error)
    n_queued += sum(queue_baseline(base) for base in bases.values())
    return n_queued + sum(queue_best(run) for run in _trained())


def queue_baseline(base: BaseModel) -> int:
    """Queue the suite of the base model without a LoRA, once per base; return how many pictures were queued.

    Raises SuiteError when the base cannot be drawn with."""
    try:
        baseline = base_alone(base)
    except BaseError as error:
        raise suite.SuiteError(str(error)) from error
    return 0 if baseline.test_renders.exists() else _queue(baseline)


def queue_best(run: TrainingRun) -> int:
    """Give the run's expected best epoch, and its base to compare with, the suite for it; return how many were queued."""
    epoch = expected_best(run)
    checkpoint = run.checkpoints.filter(epoch=epoch).first() if epoch is not None else None
    if checkpoint is None:
        return 0
    try:
        n_queued = _queue(checkpoint, is_best=True)
        # Beside the best epoch's pictures those of the base are wanted, prompt by prompt
        return n_queued + (_queue(base_alone(base_for(run.base_model)), is_best=True) if n_queued else 0)
    except (suite.SuiteError, BaseError) as error:
        logger.warning("no full suite for %s: %s", checkpoint, error)
        return 0


def expected_best(run: TrainingRun) -> int | None:
    """The epoch that people scored best, once a trend shows or all are scored; before that the best suggested one."""
    waits = EpochResult.objects.awaiting_scores().filter(training_run=run)
    verdict = convergence.for_run(run)
    if verdict.best_epoch is not None and (verdict.state != convergence.State.TOO_EARLY or not waits.exists()):
        return verdict.best_epoch
    return _best_suggested(run)


def _best_suggested(run: TrainingRun) -> int | None:
    """None once an epoch has its full suite: drawn more often it looks worse than it did by a few lucky pictures, and
    one epoch after the other would be the next best."""
    if TestRender.objects.filter(checkpoint__run=run, priority__gte=TestRender.LATER_SEEDS).exists():
        return None
    entries = ScoreEntry.objects.filter(epoch_result__training_run=run, source=ScoreEntry.Source.MACHINE)
    latest = {entry.epoch_result: entry for entry in entries.select_related("epoch_result").order_by("pk")}
    judged: list[tuple[bool, float, int]] = []
    for row, entry in latest.items():
        scores = [score for name in EpochResult.SCORES if (score := getattr(entry, name)) is not None]
        if scores:
            is_sure = (row.num_test_images or 0) >= FEWEST_PICTURES
            judged.append((is_sure, sum(scores) / len(scores), -row.epoch_number))
    return -max(judged)[2] if judged else None


def _queue(checkpoint: Checkpoint, *, is_best: bool = False) -> int:
    choice = choose(checkpoint, is_best=is_best)
    return suite.queue(checkpoint, choice.size, again=False) if choice else 0


def _rule_for(checkpoint: Checkpoint, *, is_best: bool) -> SuiteRule | None:
    rules = SuiteRule.objects.all()
    if is_best:
        return rules.filter(kind=SuiteRule.Kind.BEST).first()
    if checkpoint.source == Checkpoint.Source.BASE:
        return rules.filter(kind=SuiteRule.Kind.BASE).first()
    epoch = checkpoint.epoch or 0
    named = rules.filter(kind=SuiteRule.Kind.EPOCHS, first_epoch__lte=epoch)
    return named.filter(Q(last_epoch=None) | Q(last_epoch__gte=epoch)).first()


def _fitted(rule: SuiteRule, whole: Mapping[str, suite.Estimate]) -> Choice:
    """The largest suite up to the rule's that its minutes allow; the quick one always."""
    allowed = list(whole)[: list(whole).index(rule.size) + 1]
    in_time = [size for size in allowed if rule.minutes is None or whole[size].seconds <= 60 * rule.minutes]
    reason = f"{rule.size} would be {whole[rule.size]}, and its rule allows {rule.minutes} min"
    return Choice(wanted=rule.size, size=in_time[-1] if in_time else allowed[0], reason=reason)


def _trained() -> QuerySet[TrainingRun]:
    """The runs not closed yet whose training has ended and whose pictures are all drawn and measured."""
    trained = Checkpoint.objects.filter(run=OuterRef("pk"), source=Checkpoint.Source.TRAINED)
    waiting = TestRender.objects.filter(
        ~Q(status__in=FINAL) | Q(status=Status.RENDERED, measures__isnull=True), checkpoint__run=OuterRef("pk")
    )
    working = TrainingJob.objects.unfinished().filter(run=OuterRef("pk"))
    return TrainingRun.objects.filter(Exists(trained), ~Exists(waiting), ~Exists(working), overall_verdict="pending")


def _without_tests() -> QuerySet[Checkpoint]:
    tested = TestRender.objects.filter(checkpoint=OuterRef("pk"))
    untested = Checkpoint.objects.filter(~Exists(tested), source=Checkpoint.Source.TRAINED, run__isnull=False)
    return untested.filter(epoch__gt=0).select_related("run").order_by("run", "epoch")


def _without_row() -> QuerySet[Checkpoint]:
    row = EpochResult.objects.filter(training_run=OuterRef("run"), epoch_number=OuterRef("epoch"))
    return Checkpoint.objects.filter(~Exists(row), run__isnull=False, epoch__gt=0).select_related("run")
