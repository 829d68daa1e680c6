"""Do the measures see the defects that people marked? Counted over the pictures that somebody looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.models import PictureReview
from punklab.pixels.defects import EYES_LIKE_HAIR, EYES_OFF, STRAY

MOST_PICTURES = 2000  # the latest looked at
Defect = PictureReview.Defect
_WORN = {Defect.HAT.value, Defect.EYEWEAR.value, Defect.BOW.value}


@dataclass(frozen=True)
class Kind:
    """One kind of defect: in how many pictures people saw it, the measures saw it, and both did."""

    label: str
    people: int
    measures: int
    both: int

    @property
    def recall(self) -> float | None:
        """The share of what people saw that the measures see too; None without any."""
        return self.both / self.people if self.people else None

    @property
    def precision(self) -> float | None:
        """The share of what the measures saw that people see too; None without any."""
        return self.both / self.measures if self.measures else None


@dataclass(frozen=True)
class Seen:
    """`pictures` that people looked at and that are measured, and each kind of defect in them."""

    pictures: int
    kinds: tuple[Kind, ...]


def seen() -> Seen:
    """People's marks beside the measures; one query over the latest 2,000 words on pictures.

    A picture counts as marked when any of its reviewers marked it; one without marks says that it has no such defect."""
    render = "result__render__measures"
    rows = (
        PictureReview.objects.filter(**{f"{render}__has_key": "defects"})
        .order_by("-updated_at")
        .values_list("result", "marks", "passed", f"{render}__defects", f"{render}__accessories")[:MOST_PICTURES]
    )
    people: dict[int, set[str]] = {}
    found: dict[int, tuple[set[str], bool]] = {}
    for key, marks, passed, defects, accessories in rows:
        words = set(marks) | ({"failed"} if passed is False else set())
        people.setdefault(key, set()).update(words)
        found[key] = ({one["kind"] for one in defects}, any(one["matches"] is False for one in accessories or []))
    return Seen(
        len(found),
        tuple(_kind(label, by_people, by_measures, people, found) for label, by_people, by_measures in _KINDS),
    )


def _kind(
    label: str,
    by_people: Callable[[set[str]], bool],
    by_measures: Callable[[set[str], bool], bool],
    people: Mapping[int, set[str]],
    found: Mapping[int, tuple[set[str], bool]],
) -> Kind:
    said = {key for key, words in people.items() if by_people(words)}
    measured = {key for key, facts in found.items() if by_measures(*facts)}
    return Kind(label, len(said), len(measured), len(said & measured))


_KINDS: tuple[tuple[str, Callable[[set[str]], bool], Callable[..., Any]], ...] = (
    ("stray pixels", lambda words: Defect.STRAY.value in words, lambda defects, _: STRAY in defects),
    (
        "eyes",
        lambda words: Defect.EYES.value in words,
        lambda defects, _: bool(defects & {EYES_OFF, EYES_LIKE_HAIR}),
    ),
    ("hat, eyewear, bow", lambda words: bool(words & _WORN), lambda _, not_as_asked: not_as_asked),
    ("anything", lambda words: bool(words), lambda defects, not_as_asked: bool(defects) or not_as_asked),
)
