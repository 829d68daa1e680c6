"""To score an epoch and to take the scores back: verdict, issues and strengths follow by the lab's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from evaluation import results, verdicts
from evaluation.models import EpochResult, ScoreEntry
from runs.models import Checkpoint
from runs.naming import UnknownRunError, find_run

WRITTEN = (
    *EpochResult.SCORES,
    *verdicts.ISSUE_FLAGS.values(),
    "issues_detail",
    "strengths_detail",
    "verdict",
    "observations",
)
NAMES = {"visual_quality_score": "visual", "style_match_score": "style", "prompt_adherence_score": "prompt"}


class ScoringError(Exception):
    """Scores that cannot be given; `problems` are sentences, all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


def problems_of(visual: Any, style: Any, prompt: Any) -> list[str]:
    """What is wrong with three scores, as sentences; an empty list when they can be given."""
    scores = dict(zip(EpochResult.SCORES, (visual, style, prompt), strict=True))
    missing = [NAMES[name] for name, score in scores.items() if score is None]
    found = []
    if missing:
        found.append(f"An epoch gets all three scores or none: {' and '.join(missing)} missing.")
    for name, score in scores.items():
        if score is None:
            continue
        if not isinstance(score, int) or isinstance(score, bool):
            found.append(f"The {NAMES[name]} score is {score!r}; it must be a whole number from 0 to 10.")
        elif not verdicts.LOWEST <= score <= verdicts.HIGHEST:
            found.append(f"The {NAMES[name]} score is {score}; it must be from 0 to 10.")
    return found


@transaction.atomic
def score(
    epoch_result: EpochResult,
    visual: int,
    style: int,
    prompt: int,
    observations: str = "",
    *,
    by: User | None,
    issues: Sequence[str] | None = None,
    strengths: Sequence[str] | None = None,
) -> EpochResult:
    """Write the scores with what follows from them, append to the history and return the row as it now stands.

    `issues` and `strengths` are a person's word (an empty list: there are none) and stand until replaced or cleared;
    None leaves them to the measures, and where there are none to the rules. Raises ScoringError with all that is wrong.
    """
    problems = problems_of(visual, style, prompt)
    if problems:
        raise ScoringError(problems)
    row = _locked(epoch_result)
    _keep_former(row)
    said_issues = _word(row, "issues", issues)
    said_strengths = _word(row, "strengths", strengths)
    if observations.strip() or row.is_machine_scored:
        row.observations = observations.strip()
    row.visual_quality_score, row.style_match_score, row.prompt_adherence_score = visual, style, prompt
    row.verdict = verdicts.verdict_for((visual + style + prompt) / 3)
    _write_issues(row, said_issues, new=issues is not None)
    row.strengths_detail = said_strengths if said_strengths is not None else _strengths(row)
    row.save(update_fields=WRITTEN)
    _append(row, by, said_issues, said_strengths)
    return row


@transaction.atomic
def clear(epoch_result: EpochResult, *, by: User | None) -> EpochResult:
    """Take scores, verdict and what followed from them back; the history keeps them. Without scores nothing changes."""
    row = _locked(epoch_result)
    if row.verdict is None and all(getattr(row, name) is None for name in EpochResult.SCORES):
        return row
    _keep_former(row)
    for name in WRITTEN:
        setattr(row, name, False if name in verdicts.ISSUE_FLAGS.values() else None)
    row.save(update_fields=WRITTEN)
    ScoreEntry.objects.create(epoch_result=row, source=ScoreEntry.Source.PERSON, by=by, observations="Scores cleared.")
    return row


def find_epoch(run_name: str, epoch: int) -> EpochResult:
    """The row of an epoch, made for a checkpoint that has none yet. Raises ScoringError naming what there is."""
    try:
        run = find_run(run_name)
    except UnknownRunError as error:
        raise ScoringError([str(error)]) from error
    row = EpochResult.objects.filter(training_run=run, epoch_number=epoch).first()
    checkpoint = Checkpoint.objects.filter(run=run, epoch=epoch).first()
    made = row or (results.epoch_result_for(checkpoint) if checkpoint else None)
    if made is None:
        known = set(run.epoch_results.values_list("epoch_number", flat=True))
        known |= {each.epoch for each in run.checkpoints.all() if each.epoch is not None}
        there = f"it has {', '.join(map(str, sorted(known)))}" if known else "it has none yet"
        raise ScoringError([f"The run {run} has no epoch {epoch}; {there}."])
    return made


def _locked(epoch_result: EpochResult) -> EpochResult:
    return EpochResult.objects.select_for_update().get(pk=epoch_result.pk)


def _keep_former(row: EpochResult) -> None:
    """Scores that stood there before our history began go into it before they are overwritten."""
    if row.average is not None and not row.score_entries.exclude(source=ScoreEntry.Source.MACHINE).exists():
        _append(row, None, row.issues_detail, row.strengths_detail)


def _append(row: EpochResult, by: User | None, issues: list[str] | None, strengths: list[str] | None) -> None:
    machine = row.is_machine_scored
    ScoreEntry.objects.create(
        epoch_result=row,
        source=ScoreEntry.Source.MACHINE if machine else ScoreEntry.Source.PERSON,
        by=by,
        issues=issues,
        strengths=strengths,
        verdict=(row.verdict or "")[:20],
        observations=row.observations or "",
        **{name: getattr(row, name) for name in EpochResult.SCORES},
    )


def _word(row: EpochResult, field: str, given: Sequence[str] | None) -> list[str] | None:
    """What a person said of issues or strengths, now or when they last scored this epoch; None: nothing."""
    if given is not None:
        return list(dict.fromkeys(text.strip() for text in given if text.strip()))
    last = row.score_entries.filter(source=ScoreEntry.Source.PERSON).first()
    said: list[str] | None = getattr(last, field) if last else None
    return said


def _write_issues(row: EpochResult, said: list[str] | None, *, new: bool) -> None:
    if said is not None:
        row.issues_detail = said
        for issue, flag in verdicts.ISSUE_FLAGS.items():
            if new:  # words of an earlier time come with the flags of that time
                setattr(row, flag, issue in {verdicts.kind_of_issue(text) for text in said})
        return
    faulty = {issue: _has_issue(row, issue) for issue in verdicts.ISSUE_SCORES}
    for issue, flag in verdicts.ISSUE_FLAGS.items():
        setattr(row, flag, faulty[issue])
    row.issues_detail = [issue for issue, present in faulty.items() if present]


def _has_issue(row: EpochResult, issue: str) -> bool:
    measured = results.measured_issue(row, issue)
    if measured is not None:
        return measured
    return bool(getattr(row, verdicts.ISSUE_SCORES[issue]) < verdicts.FAULTY_BELOW)


def _strengths(row: EpochResult) -> list[str]:
    contradicted = set()
    if row.is_photorealistic:
        contradicted |= {verdicts.NO_PHOTO, verdicts.PIXEL_ART}
    if results.measured_pixel_art(row) is False:
        contradicted.add(verdicts.PIXEL_ART)
    return [strength for strength in verdicts.DEFAULT_STRENGTHS if strength not in contradicted]
