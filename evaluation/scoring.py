"""To score an epoch and to take the scores back: verdict, issues and strengths follow by the lab's rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from evaluation import results, verdicts, voices
from evaluation.models import EpochResult, ScoreEntry
from runs.models import Checkpoint
from runs.naming import UnknownRunError, find_run

FLAGS = (*verdicts.ISSUE_FLAGS.values(), *verdicts.TAG_FLAGS.values())
WRITTEN = (
    *EpochResult.SCORES,
    *FLAGS,
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
    accepted: Collection[str] = (),
    is_blind: bool = False,
) -> EpochResult:
    """Append one reviewer's scores and return the row as all reviewers' scores together make it (`evaluation.voices`).

    `issues` and `strengths` are a person's word (an empty list: there are none) and stand until replaced or cleared;
    None leaves them to the measures, and where there are none to the rules. Score columns in `accepted` count as taken
    over from the suggestion where they equal it. Raises ScoringError with all that is wrong.
    """
    problems = problems_of(visual, style, prompt)
    if problems:
        raise ScoringError(problems)
    given = dict(zip(EpochResult.SCORES, (visual, style, prompt), strict=True))
    row = _locked(epoch_result)
    _keep_former(row)
    before = _voices(row)
    own = next((entry for entry in before if entry.by == by), before[0] if before and before[0].by is None else None)
    taken_over = [name for name in accepted if given.get(name) == _suggested(row, name)]
    ScoreEntry.objects.create(
        epoch_result=row,
        source=ScoreEntry.Source.ACCEPTED if len(taken_over) == len(given) else ScoreEntry.Source.PERSON,
        by=by,
        issues=_word(own, "issues", issues),
        strengths=_word(own, "strengths", strengths),
        verdict=verdicts.verdict_for((visual + style + prompt) / 3),
        observations=observations.strip() or (own.observations if own else ""),
        accepted=taken_over,
        is_blind=is_blind,
        **given,
    )
    _mirror(row, _voices(row), new_issues=issues is not None)
    return row


@transaction.atomic
def withdraw(epoch_result: EpochResult, *, by: User) -> ScoreEntry:
    """Take a reviewer's latest scores back and return them; what they or a script said before stands again.

    Raises ScoringError when no scores of theirs stand."""
    row = _locked(epoch_result)
    own = voices.of(by, row.score_entries.all())
    if own is None:
        raise ScoringError([f"No scores of {by} stand for {row}: there is nothing to take back."])
    taken_back = ScoreEntry.objects.create(
        epoch_result=row, source=ScoreEntry.Source.WITHDRAWN, by=by, observations="Scores taken back."
    )
    left = _voices(row)
    restored = voices.of(by, row.score_entries.all())
    if restored is not None and restored.accepted:
        taken_back.accepted = restored.accepted
        taken_back.save(update_fields=["accepted"])
    _mirror(row, left, new_issues=True)
    return own


@transaction.atomic
def clear(epoch_result: EpochResult, *, by: User | None) -> EpochResult:
    """Take scores, verdict and what followed from them back; the history keeps them. Without scores nothing changes."""
    row = _locked(epoch_result)
    if row.verdict is None and all(getattr(row, name) is None for name in EpochResult.SCORES) and not _voices(row):
        return row
    _keep_former(row)
    ScoreEntry.objects.create(epoch_result=row, source=ScoreEntry.Source.PERSON, by=by, observations="Scores cleared.")
    _empty(row)
    return row


def score_unattended() -> int:
    """Where the setting UNATTENDED_SCORING is on, write complete suggestions as a machine's scores of the epochs that
    nobody scored; return how many. Scheduled each minute."""
    if not settings.UNATTENDED_SCORING:
        return 0
    n_scored = 0
    for waiting in (
        EpochResult.objects.awaiting_scores().filter(score_entries__source=ScoreEntry.Source.MACHINE).distinct()
    ):
        n_scored += _score_by_machine(waiting)
    return n_scored


@transaction.atomic
def _score_by_machine(epoch_result: EpochResult) -> bool:
    row = _locked(epoch_result)
    given = {name: _suggested(row, name) for name in EpochResult.SCORES}
    if None in given.values() or _voices(row) or row.verdict is not None:
        return False
    for name, suggested in given.items():
        setattr(row, name, suggested)
    row.observations = "Auto-scored by the measures, seen by nobody."
    row.verdict = verdicts.verdict_for(row.average or 0)
    _write_issues(row, None, new=False)
    row.strengths_detail = _strengths(row)
    row.save(update_fields=WRITTEN)
    _keep_former(row)
    return True


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


def _voices(row: EpochResult) -> list[ScoreEntry]:
    return voices.standing(row.score_entries.select_related("by"))


def _suggested(row: EpochResult, column: str) -> int | None:
    suggestion = results.suggestion(row)
    return verdicts.whole(getattr(suggestion, column)) if suggestion else None


def _keep_former(row: EpochResult) -> None:
    """Scores that stood there before our history began, or that a script wrote since, go into it before they change."""
    if row.average is None or _voices(row):
        return
    last = _last_of_script(row)
    if row.is_machine_scored and last is not None and last.observations == row.observations:
        return
    ScoreEntry.objects.create(
        epoch_result=row,
        source=ScoreEntry.Source.MACHINE if row.is_machine_scored else ScoreEntry.Source.PERSON,
        issues=row.issues_detail,
        strengths=row.strengths_detail,
        verdict=(row.verdict or "")[:20],
        observations=row.observations or "",
        **{name: getattr(row, name) for name in EpochResult.SCORES},
    )


def _last_of_script(row: EpochResult) -> ScoreEntry | None:
    """The last scores that a script wrote, suggestions apart."""
    return row.score_entries.filter(source=ScoreEntry.Source.MACHINE, reasons=[]).first()


def _word(own: ScoreEntry | None, field: str, given: Sequence[str] | None) -> list[str] | None:
    """What a reviewer says of issues or strengths, now or when they last scored this epoch; None: nothing."""
    if given is not None:
        return list(dict.fromkeys(text.strip() for text in given if text.strip()))
    said: list[str] | None = getattr(own, field) if own else None
    return said


def _mirror(row: EpochResult, heard: list[ScoreEntry], *, new_issues: bool) -> None:
    """Write into the lab's columns what the voices say together; without one what a script said, or nothing."""
    script = _last_of_script(row)
    spoken = heard or ([script] if script else [])
    if not spoken:
        _empty(row)
        return
    for name, value in voices.combined(spoken).items():
        setattr(row, name, value)
    words = voices.observations(spoken)
    if words or row.is_machine_scored:
        row.observations = words
    row.verdict = verdicts.verdict_for(row.average) if row.average is not None else None
    _write_issues(row, voices.said(spoken, "issues"), new=new_issues)
    strengths = voices.said(spoken, "strengths")
    row.strengths_detail = _strengths(row) if strengths is None else strengths
    row.save(update_fields=WRITTEN)


def _empty(row: EpochResult) -> None:
    for name in set(WRITTEN) - set(FLAGS):
        setattr(row, name, None)
    for flag, value in results.measured_flags(row).items():
        setattr(row, flag, value)
    row.save(update_fields=WRITTEN)


def _write_issues(row: EpochResult, said: list[str] | None, *, new: bool) -> None:
    if said is not None:
        row.issues_detail = said
        if new:  # words of an earlier time come with the flags of that time
            kinds = {verdicts.kind_of_issue(text) for text in said}
            for issue, flag in verdicts.ISSUE_FLAGS.items():
                setattr(row, flag, issue in kinds)
            for tag, flag in verdicts.TAG_FLAGS.items():
                if tag in said or not said:  # a list without the tag does not deny what was measured, "none" does
                    setattr(row, flag, tag in said)
        return
    faulty = {issue: _has_issue(row, issue) for issue in verdicts.ISSUE_SCORES}
    for issue, flag in verdicts.ISSUE_FLAGS.items():
        setattr(row, flag, faulty[issue])
    row.issues_detail = [issue for issue, present in faulty.items() if present]


def _has_issue(row: EpochResult, issue: str) -> bool:
    measured = results.measured_issue(row, issue)
    if measured is not None:
        return measured
    score = getattr(row, verdicts.ISSUE_SCORES[issue])
    return score is not None and score < verdicts.FAULTY_BELOW


def _strengths(row: EpochResult) -> list[str]:
    contradicted = set()
    if row.is_photorealistic:
        contradicted |= {verdicts.NO_PHOTO, verdicts.PIXEL_ART}
    if results.measured_pixel_art(row) is False:
        contradicted.add(verdicts.PIXEL_ART)
    return [strength for strength in verdicts.DEFAULT_STRENGTHS if strength not in contradicted]
