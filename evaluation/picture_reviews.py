"""What reviewers say of single pictures: pass, fail or a score, and the cells that are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from evaluation import metrics, verdicts
from evaluation.models import PictureReview, PromptTestResult

SIDE = 24
_WORN = {PictureReview.Defect.HAT, PictureReview.Defect.EYEWEAR, PictureReview.Defect.BOW}

Marks = Mapping[str, Sequence[Sequence[int]]]


class PictureReviewError(Exception):
    """A word on a picture that cannot be kept; `problems` are sentences, all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Word:
    """One reviewer's word on a picture; all empty: none."""

    passed: bool | None = None
    score: int | None = None
    marks: Mapping[str, list[list[int]]] | None = None

    @classmethod
    def read(cls, given: Any) -> Word:
        """The word in a decoded JSON object `{"passed", "score", "marks"}`. Raises PictureReviewError with all that is wrong."""
        if not isinstance(given, dict):
            raise PictureReviewError([f"{given!r} is no word on a picture: send passed, score and marks."])
        passed, score, marks = given.get("passed"), given.get("score"), given.get("marks") or {}
        problems = [*_score_problems(passed, score), *_mark_problems(marks)]
        if problems:
            raise PictureReviewError(problems)
        kept = {
            kind: sorted([row, column] for row, column in {tuple(cell) for cell in cells})
            for kind, cells in marks.items()
        }
        return cls(passed, score, {kind: cells for kind, cells in sorted(kept.items()) if cells})

    @property
    def is_empty(self) -> bool:
        return self.passed is None and self.score is None and not self.marks


@transaction.atomic
def review(result: PromptTestResult, word: Word, *, by: User) -> PromptTestResult:
    """Keep a reviewer's latest word on a picture, an empty one takes the former back; return the row as all words make it."""
    row = PromptTestResult.objects.select_for_update(of=("self",)).select_related("render").get(pk=result.pk)
    if word.is_empty:
        PictureReview.objects.filter(result=row, by=by).delete()
    else:
        PictureReview.objects.update_or_create(
            result=row,
            by=by,
            defaults={"passed": word.passed, "score": word.score, "marks": dict(word.marks or {})},
        )
    _mirror(row, list(row.reviews.all()))
    return row


def marked(reviews: Sequence[PictureReview]) -> dict[str, int]:
    """How many cells were marked by anybody for each kind of defect."""
    cells: dict[str, set[tuple[int, ...]]] = {}
    for one in reviews:
        for kind, places in one.marks.items():
            cells.setdefault(kind, set()).update(tuple(place) for place in places)
    return {kind: len(places) for kind, places in sorted(cells.items())}


def told(reviews: Sequence[PictureReview]) -> str:
    """The marks in words: "marked: 3 cells stray pixel, 1 cell eyes"; empty without any."""
    counts = [
        f"{n} cell{'' if n == 1 else 's'} {PictureReview.Defect(kind).label.lower()}"
        for kind, n in marked(reviews).items()
    ]
    return f"marked: {', '.join(counts)}" if counts else ""


def _mirror(row: PromptTestResult, reviews: list[PictureReview]) -> None:
    """Verdict by majority (ties fail), score by median (the lower of two), and what the marks say; without them the
    measures speak again."""
    render = getattr(row, "render", None)
    measured = metrics.checks_of(render.measures) if render is not None else {}
    kinds = set(marked(reviews))
    votes = [one.passed for one in reviews if one.passed is not None]
    scores = [one.score for one in reviews if one.score is not None]
    row.passed = sum(votes) * 2 > len(votes) if votes else None
    row.score = median_low(scores) if scores else None
    row.has_random_artifacts = True if PictureReview.Defect.STRAY in kinds else measured.get("has_random_artifacts")
    row.accessories_visible = False if kinds & _WORN else measured.get("accessories_visible")
    row.observations = told(reviews) or measured.get("observations")
    row.save(update_fields=["passed", "score", "has_random_artifacts", "accessories_visible", "observations"])


def _score_problems(passed: Any, score: Any) -> list[str]:
    found = []
    if passed is not None and not isinstance(passed, bool):
        found.append(f"{passed!r} is neither pass nor fail: say true, false or null.")
    is_number = isinstance(score, int) and not isinstance(score, bool)
    if score is not None and not (is_number and verdicts.LOWEST <= score <= verdicts.HIGHEST):
        found.append(f"The picture's score is {score!r}; it must be a whole number from 0 to 10.")
    return found


def _mark_problems(marks: Any) -> list[str]:
    if not isinstance(marks, dict):
        return [f"The marks are {marks!r}; they go by kind of defect."]
    found = []
    for kind, cells in marks.items():
        if kind not in PictureReview.Defect.values:
            found.append(f"{kind!r} is no kind of defect; there are {', '.join(PictureReview.Defect.values)}.")
        if not isinstance(cells, list) or not all(map(_is_cell, cells)):
            found.append(f"Each mark of {kind!r} is a row and a column from 0 to {SIDE - 1}.")
    return found


def _is_cell(cell: Any) -> bool:
    return (
        isinstance(cell, list)
        and len(cell) == 2
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < SIDE for one in cell)
    )
