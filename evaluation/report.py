"""A run's or an epoch's report: one HTML file that needs nothing else, pictures and curves inside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from evaluation import metrics, results, selection, voices
from evaluation.gallery import Card, Picture, cards_of
from evaluation.metrics import Measure
from evaluation.models import EpochResult, ScoreEntry
from evaluation.report_chart import drawing
from evaluation.trend import trend_of
from punklab import pictures
from runs.models import TrainingRun

MOST_BYTES = 200_000  # of one picture; the finished ones have less than 2,000
_PARAMETERS = (
    "base_model",
    "model_type",
    "caption_version",
    "num_images",
    "resolution",
    "network_dim",
    "network_alpha",
    "learning_rate",
    "unet_lr",
    "text_encoder_lr",
    "train_batch_size",
    "gradient_accumulation_steps",
    "max_train_epochs",
    "total_steps",
    "mixed_precision",
    "optimizer_type",
    "lr_scheduler",
    "lr_scheduler_cycles",
    "noise_offset",
    "min_snr_gamma",
    "platform",
    "gpu_type",
    "training_duration_hours",
)


class ReportError(Exception):
    """An epoch that cannot be reported on; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture as a data: URI, or in `words` why there is none."""

    name: str
    prompt: str
    uri: str | None
    words: str
    marks: Sequence[tuple[str, bool]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One epoch in a report."""

    card: Card
    voices: Sequence[ScoreEntry]
    disagreement: str
    issues: Sequence[str] | None
    strengths: Sequence[str]
    measures: Sequence[tuple[Measure, float]]
    pictures: Sequence[Shown]

    @property
    def result(self) -> EpochResult | None:
        return self.card.result


def report_of(run: TrainingRun, epoch: int | None = None) -> str:
    """The report on a run, or on one of its epochs, as HTML. Raises ReportError for an epoch that it has not."""
    cards = cards_of(run, epoch)
    if epoch is not None and not cards:
        known = ", ".join(str(card.epoch) for card in cards_of(run))
        raise ReportError(f"{run} has no epoch {epoch}: {f'there are {known}' if known else 'it has none yet'}.")
    found = trend_of(run)
    context = {
        "run": run,
        "epoch": epoch,
        "made_at": timezone.now(),
        "trend": found,
        "drawings": [drawing(chart) for chart in (found.scores, found.measures) if chart and chart.epochs],
        "parameters": _parameters(run),
        "parts": [_part(card) for card in cards],
    }
    return render_to_string("evaluation/report.html", context)


def file_name(run: TrainingRun, epoch: int | None = None) -> str:
    """What the file is called: the run's name where it is letters, digits and the like, and the epoch."""
    name = "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "_" for each in str(run))
    return f"{name}{'' if epoch is None else f'-epoch-{epoch}'}-report.html"


def _parameters(run: TrainingRun) -> list[tuple[str, Any]]:
    values = [(name.replace("_", " "), getattr(run, name)) for name in _PARAMETERS]
    return [(name, value) for name, value in values if value not in (None, "")]


def _part(card: Card) -> Part:
    row = card.result
    heard = voices.standing(row.score_entries.all()) if row else []
    issues = selection.issues_of(row) if row else None
    means = (results.metrics_ours(row) or {}).get("means", {}) if row else {}
    return Part(
        card=card,
        voices=heard,
        disagreement=voices.disagreement(heard),
        issues=None if issues is None else selection.words(issues),
        strengths=selection.words((row.strengths_detail or []) if row else []),
        measures=[(measure, means[measure.key]) for measure in metrics.MEASURES if measure.key in means],
        pictures=[_shown(picture) for picture in card.pictures],
    )


def _shown(picture: Picture) -> Shown:
    file = pictures.stored(picture.path) if picture.url else None
    uri, words = None, "" if picture.path else picture.words
    if file is None:
        words = words or "not on this machine"
    elif file.stat().st_size > MOST_BYTES:
        words = f"left out: {file.stat().st_size / 1000:.0f} kB"
    else:
        uri = f"data:{pictures.type_of(file)};base64,{base64.b64encode(file.read_bytes()).decode()}"
    return Shown(name=picture.name, prompt=picture.prompt, uri=uri, words=words, marks=picture.marks)
