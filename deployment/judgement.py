"""The lab's must-haves of an epoch for production, each with its evidence: people's words first, then the measures.

A person who said what is wrong with an epoch is believed in what they did not name; until somebody did, the measures speak.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from django.urls import reverse

from evaluation import metrics, results, verdicts, voices
from evaluation.models import EpochResult, PictureReview, ScoreEntry, TestRender
from evaluation.proof import clopper_pearson
from evaluation.renderjob import Status
from runs.models import Checkpoint


class Met(StrEnum):
    YES = "met"
    NO = "not met"
    UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the checklist: whether it holds, why, and where that is seen or mended."""

    label: str
    met: Met
    evidence: str
    url: str = ""
    link: str = ""

    @property
    def blocker(self) -> str:
        """The item as a sentence about what stands in the way."""
        return f"{self.label}: {self.evidence}"


@dataclass(frozen=True)
class _Trait:
    """A must-have that people's words, flags and marks and some measures speak of."""

    label: str
    flags: dict[str, str]
    names: Callable[[str], bool]  # whether a person's words about an issue speak of it
    measures: tuple[str, ...]
    marks: tuple[str, ...] = ()


_STYLE = re.compile(r"photo|not[ _]pixel|blur|smooth", re.IGNORECASE)
_WORN = re.compile(
    r"accessor|(?<![a-z])(hat|crown|glasses|shades|earring|necklace|bow|bandana)s?(?![a-z])", re.IGNORECASE
)
_MUST_HAVES = (
    _Trait(
        "Pixel art",
        {"is_photorealistic": "It is marked as photorealistic."},
        lambda issue: _STYLE.search(issue) is not None,
        ("pixel_art",),
    ),
    _Trait(
        "Colours right",
        {"has_wrong_colors": "It is marked as giving wrong colours."},
        lambda issue: verdicts.kind_of_issue(issue) == verdicts.WRONG_COLOURS,
        ("hair", "skin", "eyes"),
    ),
    _Trait(
        "Solid background",
        {"has_wrong_backgrounds": "It is marked as giving wrong backgrounds."},
        lambda issue: verdicts.kind_of_issue(issue) == verdicts.WRONG_BACKGROUND,
        ("solid", "background"),
    ),
    _Trait(
        "Clean accessories",
        {},
        lambda issue: _WORN.search(issue) is not None,
        ("accessories",),
        (PictureReview.Defect.HAT, PictureReview.Defect.EYEWEAR, PictureReview.Defect.BOW),
    ),
)


@dataclass(frozen=True)
class Judged:
    """What is known of an epoch: its row, what people said and what was measured. Each is read once."""

    result: EpochResult

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        return results.checkpoint_of(self.result)

    @cached_property
    def metrics(self) -> metrics.Metrics:
        return results.metrics_ours(self.result) or {}

    @cached_property
    def heard(self) -> list[ScoreEntry]:
        """The scores of people that stand, the latest of each, the oldest first."""
        return voices.standing(self.result.score_entries.select_related("by"))

    @property
    def who(self) -> str:
        """Who gave them; empty where nobody known did."""
        return " and ".join(str(entry.by) for entry in self.heard if entry.by)

    @property
    def issues(self) -> list[str] | None:
        """What people found wrong, in their words; None where nobody said."""
        return voices.said(self.heard, "issues")

    @cached_property
    def renders(self) -> list[TestRender]:
        """Its drawn test pictures, further seeds included, in the suite's order."""
        drawn = TestRender.objects.filter(checkpoint=self.checkpoint, status=Status.RENDERED)
        return list(drawn.select_related("test_prompt", "result").order_by("priority", "pk")) if self.checkpoint else []

    @cached_property
    def reviews(self) -> list[PictureReview]:
        """What people said of single pictures; an empty review says nothing."""
        found = PictureReview.objects.filter(result__epoch_result=self.result)
        return [one for one in found if one.passed is not None or one.score is not None or any(one.marks.values())]

    @property
    def is_unattended(self) -> bool:
        """Whether its scores come from a machine and nobody judged them: a script's, or a suggestion taken over."""
        if not self.heard:
            return self.result.is_machine_scored
        return all(entry.source == ScoreEntry.Source.ACCEPTED for entry in self.heard)

    @cached_property
    def looked_at(self) -> tuple[int, int]:
        """How many pictures of the suite a person looked at, and how many there are."""
        seen = {review.result_id for review in self.reviews}
        suite = [render for render in self.renders if not render.is_repeat]
        return sum(render.result_id in seen for render in suite), len(suite)

    @property
    def all_looked_at(self) -> bool:
        looked, n = self.looked_at
        return n > 0 and looked == n

    @property
    def desk(self) -> str:
        """Where it is scored."""
        return reverse("evaluation:review_epoch", args=(self.result.pk,))

    @property
    def page(self) -> str:
        """Its own page, with pictures and measures."""
        return reverse("admin:evaluation_epochresult_change", args=(self.result.pk,))


def must_haves(judged: Judged) -> list[Item]:
    """Pixel art, colours, background, accessories; the scores are `score_item`."""
    return [_item(trait, judged) for trait in _MUST_HAVES]


def score_item(judged: Judged) -> Item:
    """Whether people's scores average 8 or more."""
    result = judged.result
    label = f"Scored {verdicts.PRODUCTION_AVERAGE} or more by people"
    facts = {"label": label, "url": judged.desk, "link": "Score"}
    if result.average is None:
        return Item(met=Met.UNKNOWN, evidence="nobody has scored it.", **facts)
    given = ", ".join(str(getattr(result, name)) for name in EpochResult.SCORES)
    if judged.is_unattended:
        told = f"{given}, average {result.average:.1f}: a machine's scores, and nobody's word."
        return Item(met=Met.NO, evidence=told, **facts)
    by = f" by {judged.who}" if judged.who else ""
    met = Met.YES if result.average >= verdicts.PRODUCTION_AVERAGE else Met.NO
    return Item(met=met, evidence=f"{given}{by}, average {result.average:.1f}.", **facts)


def looked_at_item(judged: Judged) -> Item:
    """Whether a person looked at every picture: asked of an epoch that only a machine has scored."""
    looked, n = judged.looked_at
    return Item(
        label="Every picture looked at by a person",
        met=Met.YES if judged.all_looked_at else Met.NO,
        evidence=f"{looked} of {n} pictures of the suite have a person's word; a machine gave the scores.",
        url=judged.desk,
        link="Look at them",
    )


@dataclass(frozen=True)
class _Measure:
    """In which share of how many pictures the measures find something right."""

    label: str
    share: float
    n: int

    def __str__(self) -> str:
        return f"{self.label} in {100 * self.share:.0f} % of {self.n} picture{'' if self.n == 1 else 's'}"

    @property
    def is_low(self) -> bool:
        """Whether it is right in fewer than 7 of 10 pictures."""
        return self.share < metrics.FAULTY_BELOW

    @property
    def is_faulty(self) -> bool:
        """Whether it is so low that so few pictures do not show it by chance: the exact 95 % interval ends below 7 of 10."""
        return clopper_pearson(round(self.share * self.n), self.n)[1] < metrics.FAULTY_BELOW


def _measures(judged: Judged, keys: Sequence[str]) -> list[_Measure]:
    means, n_judged = judged.metrics.get("means", {}), judged.metrics.get("judged", {})
    return [_Measure(metrics.BY_KEY[key].label, means[key], n_judged[key]) for key in keys if key in means]


def _item(trait: _Trait, judged: Judged) -> Item:
    measured = _measures(judged, trait.measures)
    told = "; ".join(map(str, measured))
    facts = {"label": trait.label, "url": judged.page, "link": "Pictures and measures"}
    complaint = _complaint(trait, judged)
    besides = f" Measured: {told}." if told else ""
    if complaint:
        return Item(met=Met.NO, evidence=complaint + besides, **facts)
    if judged.issues is not None:
        return Item(
            met=Met.YES,
            evidence=f"{judged.who or 'a person'} said what is wrong, and this is no part of it.{besides}",
            **facts,
        )
    if not measured:
        return Item(met=Met.UNKNOWN, evidence="not measured, and no person said what is wrong.", **facts)
    if any(each.is_faulty for each in measured):
        faulty = "; ".join(str(each) for each in measured if each.is_faulty)
        return Item(met=Met.NO, evidence=f"measured: {faulty}.", **facts)
    if any(each.is_low for each in measured):
        few = "too few pictures to tell from 7 of 10; look, or draw further seeds"
        return Item(met=Met.UNKNOWN, evidence=f"measured: {told}: {few}.", **facts)
    return Item(met=Met.YES, evidence=f"measured: {told}.", **facts)


def _complaint(trait: _Trait, judged: Judged) -> str:
    """What a flag, a person's words or their marks say against it; empty for nothing."""
    for flag, sentence in trait.flags.items():
        if getattr(judged.result, flag):
            return sentence
    named = [issue for issue in judged.issues or () if trait.names(issue)]
    if named:
        return f"a person found: {', '.join(named)}."
    marked = {review.result_id for review in judged.reviews if any(review.marks.get(kind) for kind in trait.marks)}
    reviewed = {review.result_id for review in judged.reviews}
    if marked and len(marked) / len(reviewed) > 1 - metrics.FAULTY_BELOW:
        return f"people marked faults in {len(marked)} of the {len(reviewed)} pictures that they looked at."
    return ""
