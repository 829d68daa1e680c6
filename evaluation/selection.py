"""Which epoch of a run is the best, why, and what the runner-up lacks; a person may overrule it with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from evaluation import results
from evaluation.metrics import BY_KEY
from evaluation.models import EpochResult
from evaluation.trend_models import BestEpochChoice
from runs.models import TrainingRun


class SelectionError(Exception):
    """A choice that cannot be made; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What speaks for an epoch: `issues` None where nobody spoke of them, `passed` (share of checks) None unmeasured."""

    epoch: int
    average: float
    issues: frozenset[str] | None
    passed: float | None

    @property
    def rank(self) -> tuple[float, int, float, int]:
        """Smaller is better: average, number of issues, checks passed to the nearest tenth, the earlier epoch."""
        n_issues = 99 if self.issues is None else len(self.issues)
        return -round(self.average, 6), n_issues, 0.0 if self.passed is None else -round(self.passed, 1), self.epoch


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The best epoch by the scores that people gave, in sentences; both None and one sentence where there are none."""

    best: Candidate | None
    runner_up: Candidate | None
    reasons: Sequence[str]
    choice: BestEpochChoice | None

    @property
    def epoch(self) -> int | None:
        """The epoch that holds: the one that somebody chose, else the computed one."""
        if self.choice and self.choice.epoch_result:
            return self.choice.epoch_result.epoch_number
        return self.best.epoch if self.best else None

    @property
    def is_chosen(self) -> bool:
        return bool(self.choice and self.choice.epoch_result)


def for_run(run: TrainingRun, rows: Sequence[EpochResult] | None = None) -> Selection:
    """Select among a run's epochs; `rows` are its results where they are loaded already. One query then, else two."""
    known = EpochResult.objects.filter(training_run=run) if rows is None else rows
    choices = BestEpochChoice.objects.filter(run=run).select_related("epoch_result", "by")
    return select(candidates(known), choices.first())


def candidates(rows: Iterable[EpochResult]) -> list[Candidate]:
    """The epochs that people scored; a script's scores never count."""
    return [
        Candidate(epoch=row.epoch_number, average=row.average, issues=issues_of(row), passed=_passed(row))
        for row in rows
        if row.average is not None and not row.is_machine_scored
    ]


def issues_of(row: EpochResult) -> frozenset[str] | None:
    """The issues that people named and measures found; None where neither said anything."""
    measured = results.issues_ours(row)
    if row.issues_detail is None and measured is None:
        return None
    return frozenset([*(row.issues_detail or []), *(str(issue["issue"]) for issue in measured or [])])


def select(known: Iterable[Candidate], choice: BestEpochChoice | None = None) -> Selection:
    """The best candidate and the next one with reasons."""
    ordered = sorted(known, key=lambda each: each.rank)
    if not ordered:
        reasons = ["No person has scored an epoch yet: there is no best one."]
        return Selection(best=None, runner_up=None, reasons=reasons, choice=choice)
    best, rest = ordered[0], ordered[1:]
    runner_up = rest[0] if rest else None
    reasons = [f"Epoch {best.epoch} averages {best.average:.1f}, {_standing(best, rest)}."]
    if best.issues is not None:
        reasons.append(f"Its issues: {_listed(best.issues)}.")
    if best.passed is not None:
        reasons.append(f"Its pictures pass {100 * best.passed:.0f} % of the checks.")
    if runner_up:
        reasons.append(f"Runner-up: epoch {runner_up.epoch} with {runner_up.average:.1f}. {_why(best, runner_up)}")
    return Selection(best=best, runner_up=runner_up, reasons=reasons, choice=choice)


@transaction.atomic
def choose(run: TrainingRun, epoch: int | None, reason: str, *, by: User | None) -> BestEpochChoice:
    """Append a person's choice of the best epoch (None: the computed one again) and write the run's best epoch.

    Raises SelectionError for a missing reason, an epoch without a row, or None where nothing can be computed."""
    if not reason.strip():
        raise SelectionError("Say why: those who read the choice later need the reason.")
    row = TrainingRun.objects.select_for_update().get(pk=run.pk)
    rows = {result.epoch_number: result for result in EpochResult.objects.filter(training_run=row)}
    if epoch is not None and epoch not in rows:
        there_are = f"there are {', '.join(map(str, sorted(rows)))}" if rows else "it has none yet"
        raise SelectionError(f"{row} has no row for epoch {epoch}: {there_are}.")
    computed = select(candidates(rows.values()))
    if epoch is None and computed.best is None:
        raise SelectionError("No person has scored an epoch of this run, so none can be computed: name one.")
    choice = BestEpochChoice.objects.create(
        run=row, epoch_result=rows[epoch] if epoch is not None else None, reason=reason.strip(), by=by
    )
    row.best_epoch = epoch if epoch is not None else computed.epoch
    row.save(update_fields=["best_epoch"])
    return choice


def words(issues: Iterable[str]) -> list[str]:
    """Issues as people read them, in order: "wrong hair color"."""
    return sorted(issue.replace("_", " ") for issue in issues)


def _standing(best: Candidate, rest: Sequence[Candidate]) -> str:
    if not rest:
        return "the only epoch that people scored"
    equals = [each.epoch for each in rest if each.rank[0] == best.rank[0]]
    return f"as high as epoch {equals[0]}" if equals else f"the highest of {len(rest) + 1} epochs that people scored"


def _why(best: Candidate, other: Candidate) -> str:
    """Why the other one lost: the first thing that tells them apart."""
    if best.rank[0] != other.rank[0]:
        text = f"It averages {best.average - other.average:.1f} less"
        if best.issues is not None and other.issues is not None and len(other.issues) < len(best.issues):
            return f"{text}, though it has fewer issues ({_listed(other.issues)})."
        return f"{text}."
    if best.rank[1] != other.rank[1]:
        if other.issues is None:
            return "It averages the same, but nobody said what is wrong with it."
        return f"It averages the same, but has more issues: {_listed(other.issues)}."
    if best.rank[2] != other.rank[2]:
        passed = "are not measured" if other.passed is None else f"pass only {100 * other.passed:.0f} % of the checks"
        return f"It averages the same with as many issues, but its pictures {passed}."
    return "Nothing tells them apart, and the earlier epoch is the less overtrained."


def _listed(issues: Iterable[str]) -> str:
    return ", ".join(words(issues)) or "none"


def _passed(row: EpochResult) -> float | None:
    means = (results.metrics_ours(row) or {}).get("means", {})
    shares = [mean for key, mean in means.items() if key in BY_KEY and BY_KEY[key].is_share]
    return sum(shares) / len(shares) if shares else None
