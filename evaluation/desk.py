"""The review desk: one epoch's pictures beside those of the epoch before and of what is live, and who has said what."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Subquery

from evaluation import picture_reviews, verdicts, voices
from evaluation.epochs import base_alone_for
from evaluation.gallery import Card, Picture, card_of, picture_url, place_of
from evaluation.models import EpochResult, PictureReview, ScoreEntry, TestRender
from evaluation.renderjob import Status
from runs.models import Checkpoint

MOST_PREFETCHED = 48


@dataclass(frozen=True, kw_only=True)
class Companion:
    """Another checkpoint's pictures, to look at beside this epoch's; `label` is what it is called."""

    label: str
    pictures: dict[tuple[int, int], str]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a reviewer sees of an epoch; in blind mode nothing that tells which one it is, or what others think of it."""

    card: Card
    pictures: Sequence[Picture]
    previous: Companion | None
    baseline: Companion | None
    own: ScoreEntry | None
    others: Sequence[ScoreEntry]
    disagreement: str
    reviews: Sequence[PictureReview]
    missed: Sequence[str]
    is_blind: bool

    def to_json(self, reviewer: User) -> dict[str, Any]:
        """What the desk's script works with."""
        own = {review.result_id: review for review in self.reviews if review.by_id == reviewer.pk}
        return {
            "pictures": [self._picture(picture, own) for picture in self.pictures],
            "suggested": self.suggested,
            "previous": self.previous and self.previous.label,
            "baseline": self.baseline and self.baseline.label,
        }

    @property
    def suggested(self) -> dict[str, int]:
        """The suggestion as whole scores by their short names; empty where there is none or it is hidden."""
        entry = self.card.suggested
        if entry is None or self.is_blind:
            return {}
        found = {name.split("_")[0]: verdicts.whole(getattr(entry, name)) for name in EpochResult.SCORES}
        return {name: value for name, value in found.items() if value is not None}

    def _picture(self, picture: Picture, own: dict[int, PictureReview]) -> dict[str, Any]:
        said = own.get(picture.result or 0)
        place = picture.place or (0, 0)
        return {
            "name": picture.name,
            "prompt": picture.prompt,
            "url": picture.url,
            "raw": picture.raw_url,
            "result": picture.result,
            "render": None if self.is_blind or picture.measured is None else picture.render,
            "previous": self.previous and self.previous.pictures.get(place),
            "baseline": self.baseline and self.baseline.pictures.get(place),
            "checks": [] if self.is_blind else picture.marks,
            "defects": picture.measured.defects if picture.measured and not self.is_blind else [],
            "passed": said.passed if said else None,
            "score": said.score if said else None,
            "marks": said.marks if said else {},
        }


def desk_of(result: EpochResult, reviewer: User, live: Checkpoint | None, *, is_blind: bool) -> Desk:
    """The desk of an epoch for one reviewer; `live` is what visitors draw with. Queries: the same for any number of pictures."""
    card = card_of(result)
    heard = voices.standing(card.result.score_entries.all()) if card.result else []
    reviews = list(PictureReview.objects.filter(result__epoch_result=result).select_related("by"))
    return Desk(
        card=card,
        pictures=[picture for picture in card.pictures if picture.url],
        previous=None if is_blind else _previous(result),
        baseline=_baseline(result, live, is_blind=is_blind),
        own=next((entry for entry in heard if entry.by_id == reviewer.pk), None),
        others=[] if is_blind else [entry for entry in heard if entry.by_id != reviewer.pk],
        disagreement="" if is_blind else voices.disagreement(heard),
        reviews=reviews,
        missed=[] if is_blind else missed_by_machine(result, card.pictures, reviews),
        is_blind=is_blind,
    )


def waiting(reviewer: User, *, is_blind: bool = False, others_too: bool = False) -> list[int]:
    """The keys of the epochs with pictures that wait for this reviewer, in order, in blind mode in one that tells nothing.

    Those without common scores that the reviewer has not scored; with `others_too` all that the reviewer has not scored.
    """
    latest = ScoreEntry.objects.filter(epoch_result=OuterRef("pk"), by=reviewer).order_by("-created_at", "-pk")
    results = EpochResult.objects.filter(num_test_images__gt=0).alias(
        own=Subquery(latest.values("visual_quality_score")[:1])
    )
    found = (results if others_too else results.unscored()).filter(own=None)
    keys = list(found.order_by("training_run_id", "epoch_number", "pk").values_list("pk", flat=True))
    return sorted(keys, key=lambda key: _shuffled(reviewer, key)) if is_blind else keys


def next_pictures(key: int) -> list[str]:
    """The addresses of an epoch's pictures, for a browser to fetch while its reviewer still looks at another one."""
    renders = TestRender.objects.filter(result__epoch_result=key, status=Status.RENDERED)
    return [
        picture_url("render", pk)
        for pk in renders.order_by("priority", "pk").values_list("pk", flat=True)[:MOST_PREFETCHED]
    ]


def missed_by_machine(result: EpochResult, pictures: Sequence[Picture], reviews: Sequence[PictureReview]) -> list[str]:
    """What people saw in pictures in which the measures found nothing wrong, a sentence each."""
    clean = {
        picture.result: picture.name
        for picture in pictures
        if picture.result and picture.measured and not picture.measured.defects
    }
    found = []
    for key, name in clean.items():
        said = [review for review in reviews if review.result_id == key]
        words = picture_reviews.told(said)
        failed = any(review.passed is False for review in said)
        if words or failed:
            found.append(f"{name}: {words or 'failed'}, where the measures found no defect")
    return found


def _shuffled(reviewer: User, key: int) -> str:
    return hashlib.sha256(f"{reviewer.pk} {key}".encode()).hexdigest()


def _previous(result: EpochResult) -> Companion | None:
    drawn = TestRender.objects.filter(checkpoint=OuterRef("pk"), status=Status.RENDERED)
    before = Checkpoint.objects.filter(
        Exists(drawn), run=result.training_run_id, epoch__gt=0, epoch__lt=result.epoch_number
    )
    checkpoint = before.order_by("-epoch").first()
    return _companion(checkpoint, f"epoch {checkpoint.epoch}") if checkpoint else None


def _baseline(result: EpochResult, live: Checkpoint | None, *, is_blind: bool) -> Companion | None:
    if live is not None:
        return _companion(live, "what is live" if is_blind else f"live: {live}")
    base = base_alone_for(result.training_run) if result.training_run else None
    return _companion(base, "the base without a LoRA") if base else None


def _companion(checkpoint: Checkpoint, label: str) -> Companion:
    renders = TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED).defer("measures")
    shown = {place_of(render): picture_url("render", render.pk) for render in renders}
    return Companion(label=label, pictures=shown)
