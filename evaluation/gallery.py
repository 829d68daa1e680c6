"""What the console shows of an epoch: its pictures, people's scores, the machine's suggestion.

A run's cards take the same number of queries however many epochs and pictures it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.urls import reverse

from evaluation import metrics, voices
from evaluation.measured import Measured, measured
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestRender
from evaluation.renderjob import Status
from punklab import pictures
from punklab.pixels.asked import PARTS
from runs.models import AdoptedPicture, Checkpoint, TrainingRun

# A prompt test result's columns, and what each is about.
CHECKS = {
    "correct_background_color": "background",
    "correct_hair_color": "hair",
    "correct_eye_color": "eyes",
    "accessories_visible": "accessories",
    "is_pixel_art": "pixel art",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture, or why there is none: `url` and `raw_url` are None where it cannot be shown, `words` say why.

    `place` is the prompt's key and the seed, by which pictures of other epochs are found; `result` and `render` are keys;
    `path` is what the row names.
    """

    name: str
    place: tuple[int, int] | None = None
    result: int | None = None
    render: int | None = None
    prompt: str = ""
    url: str | None = None
    raw_url: str | None = None
    path: str | None = None
    words: str = ""
    marks: tuple[tuple[str, bool], ...] = ()
    measured: Measured | None = None


@dataclass(kw_only=True)
class Card:
    """One epoch of a run as a person sees it."""

    epoch: int
    result: EpochResult | None = None
    checkpoint: Checkpoint | None = None
    pictures: list[Picture] = field(default_factory=list)
    suggested: ScoreEntry | None = None
    heard: list[ScoreEntry] = field(default_factory=list)
    acts: list[dict[str, object]] = field(default_factory=list)

    @property
    def disagreement(self) -> str:
        """A sentence where reviewers are too far apart; else empty."""
        return voices.disagreement(self.heard)


def cards_of(run: TrainingRun, epoch: int | None = None) -> list[Card]:
    """Return the run's epochs in order, those with a row, a checkpoint, or both; or only the one asked for."""
    only = {} if epoch is None else {"epoch": epoch}
    results = _results().filter(training_run=run, **({} if epoch is None else {"epoch_number": epoch}))
    cards: dict[int, Card] = {}
    for result in results:
        result.training_run = run
        card = cards[result.epoch_number] = Card(epoch=result.epoch_number, result=result)
        card.suggested, card.heard = _entries(result)
    for checkpoint in run.checkpoints.exclude(epoch=None).filter(**only):
        epoch = checkpoint.epoch or 0
        cards.setdefault(epoch, Card(epoch=epoch)).checkpoint = checkpoint
    renders = _renders([card.checkpoint for card in cards.values() if card.checkpoint])
    adopted: dict[int, list[AdoptedPicture]] = defaultdict(list)
    for picture in AdoptedPicture.objects.filter(run=run, **only):
        adopted[picture.epoch].append(picture)
    for card in cards.values():
        drawn = renders[card.checkpoint.pk] if card.checkpoint else []
        card.pictures = _pictures(card.result, drawn, adopted[card.epoch])
    return [cards[epoch] for epoch in sorted(cards)]


def card_of(result: EpochResult) -> Card:
    """Return one epoch's card; an epoch whose run is gone has the pictures that its own row names."""
    if result.training_run is not None:
        return cards_of(result.training_run, result.epoch_number)[0]
    row = _results().get(pk=result.pk)
    suggested, heard = _entries(row)
    pictures_of_row = _pictures(row, [], [])
    return Card(epoch=row.epoch_number, result=row, suggested=suggested, heard=heard, pictures=pictures_of_row)


def render_picture(render: TestRender) -> Picture:
    """Return the picture of a test render (its prompt loaded), or where it is on its way."""
    name, prompt = render.label, str(render.request.get("prompt", ""))
    if render.status != Status.RENDERED or not render.finished:
        words = render.message or render.get_status_display()
        return Picture(name=name, prompt=prompt, words=words)
    return Picture(
        name=name,
        place=place_of(render),
        result=render.result_id,
        render=render.pk,
        prompt=prompt,
        url=picture_url("render", render.pk),
        raw_url=picture_url("raw", render.pk) if render.raw else None,
        path=render.finished,
        marks=marks_of(render.measures),
        measured=measured(render.measures),
    )


def place_of(render: TestRender) -> tuple[int, int]:
    """The prompt's key and the seed: pictures of two epochs with the same place can be compared."""
    return render.test_prompt_id, int(render.request.get("seed", 0))


def picture_url(kind: str, pk: int, index: int = 0) -> str:
    return reverse("evaluation:picture", args=(kind, pk, index))


def _results() -> QuerySet[EpochResult]:
    return EpochResult.objects.prefetch_related(
        Prefetch("prompt_results", PromptTestResult.objects.select_related("test_prompt", "render")),
        Prefetch("score_entries", ScoreEntry.objects.select_related("by")),
    )


def _entries(result: EpochResult) -> tuple[ScoreEntry | None, list[ScoreEntry]]:
    """The machine's latest suggestion, None where there is none, and each reviewer's scores that stand."""
    entries = list(result.score_entries.all())
    suggested = next((one for one in entries if one.source == ScoreEntry.Source.MACHINE and one.reasons), None)
    return suggested, voices.standing(entries)


def _renders(checkpoints: Iterable[Checkpoint]) -> dict[int, list[TestRender]]:
    found: dict[int, list[TestRender]] = defaultdict(list)
    for render in TestRender.objects.filter(checkpoint__in=list(checkpoints)).select_related("test_prompt"):
        found[render.checkpoint_id].append(render)
    return found


def _pictures(
    result: EpochResult | None, renders: Sequence[TestRender], adopted: Sequence[AdoptedPicture]
) -> list[Picture]:
    found = [render_picture(render) for render in renders]
    seen = {str(path) for render in renders for path in (render.finished_path, render.raw_path) if path}
    for one in result.prompt_results.all() if result else ():
        if one.image_path and one.image_path not in seen and not hasattr(one, "render"):
            seen.add(one.image_path)
            picture = _named(one.image_path, str(one.test_prompt or "a prompt"), "result", one.pk)
            found.append(replace(picture, marks=row_marks(*(getattr(one, name) for name in CHECKS)), result=one.pk))
    for index, path in enumerate((result.test_image_paths or []) if result else ()):
        if path and path not in seen:
            assert result is not None
            found.append(_named(path, Path(path).name, "epoch", result.pk, index))
    for past in adopted:
        picture = _named(past.file, past.original_name, "adopted", past.pk)
        found.append(replace(picture, marks=marks_of(past.measures), measured=measured(past.measures)))
    return found


def _named(path: str, name: str, kind: str, pk: int, index: int = 0) -> Picture:
    if pictures.stored(path) is None:
        return Picture(name=name, path=path, words=f"not on this machine: {path}")
    return Picture(name=name, path=path, url=picture_url(kind, pk, index))


def marks_of(measures: Any) -> tuple[tuple[str, bool], ...]:
    """Return what was measured of a picture, part by part: whether it is as asked. Empty for measures of another shape."""
    if not metrics.is_current(measures):
        return ()
    found = [(part, measures[part]["matches"]) for part in PARTS]
    found.append(("pixel art", measures["pixel_art"]["is_pixel_art"]))
    return tuple((part, matches) for part, matches in found if matches is not None)


def row_marks(*checks: bool | None) -> tuple[tuple[str, bool], ...]:
    """Return the same from a prompt test result's columns, the values of CHECKS."""
    return tuple((part, matches) for part, matches in zip(CHECKS.values(), checks, strict=True) if matches is not None)
