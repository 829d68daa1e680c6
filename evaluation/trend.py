"""A run at a glance: curves of scores and measures, issues that come and go, what the rule says after each epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch

from evaluation import convergence, metrics, noise, results, selection, verdicts
from evaluation.convergence import Convergence, Patience
from evaluation.metrics import Measure
from evaluation.models import EpochResult, ScoreEntry
from evaluation.selection import Selection
from runs.models import TrainingRun

MOST_MEASURES = 6
FIRST_SHOWN = ("background", "hair", "clean")  # measures drawn until somebody chooses others
# What can be drawn in percent; suggested scores are among the scores.
OFFERED = tuple(measure for measure in metrics.MEASURES if not measure.key.startswith("suggested_"))
_LABELS = dict(zip(EpochResult.SCORES, ("visual quality", "style match", "prompt adherence"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, a value for each epoch (None: a gap); `band` are its lowest and highest values by chance."""

    label: str
    values: Sequence[float | None]
    is_dashed: bool = False
    is_thick: bool = False
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None

    def to_json(self) -> dict[str, Any]:
        found = {"label": self.label, "values": self.values, "dashed": self.is_dashed, "thick": self.is_thick}
        return {**found, "band": self.band} if self.band else found


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves over epochs; `highest` is the top of the scale that begins at 0."""

    label: str
    epochs: Sequence[int]
    highest: int
    series: Sequence[Series]

    def to_json(self) -> dict[str, Any]:
        """What `console/chart.js` draws."""
        return {"x": self.epochs, "y": [0, self.highest], "series": [each.to_json() for each in self.series]}

    def rows(self) -> list[tuple[int, list[float | None]]]:
        """The same numbers for a table: each epoch with a value for each curve."""
        return [(epoch, [each.values[place] for each in self.series]) for place, epoch in enumerate(self.epochs)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One epoch in the table; its issues are None where nobody spoke of them, `said` where no person scored it."""

    result: EpochResult
    suggested: float | None
    new: Sequence[str] | None
    persisting: Sequence[str] | None
    resolved: Sequence[str] | None
    said: Convergence | None

    @property
    def epoch(self) -> int:
        return self.result.epoch_number


@dataclass(frozen=True, kw_only=True)
class Trend:
    lines: Sequence[Line]
    convergence: Convergence
    selection: Selection
    patience: Patience
    scores: Chart
    measures: Chart | None
    all_measures: Chart | None
    offered: Sequence[Measure]
    shown: Collection[str]


def trend_of(run: TrainingRun, chosen: Collection[str] | None = None) -> Trend:
    """The trend of a run with the measures `chosen` by their keys (None: a first choice). Six queries at any length."""
    suggestions = ScoreEntry.objects.filter(source=ScoreEntry.Source.MACHINE).exclude(reasons=[])
    rows = list(
        EpochResult.objects.filter(training_run=run)
        .order_by("epoch_number", "pk")
        .prefetch_related(Prefetch("score_entries", suggestions, to_attr="suggestions"))
    )
    patience = convergence.patience_of(run)
    offered = [each for each in OFFERED if any(each.key in _means(row) for row in rows)]
    keys = FIRST_SHOWN if chosen is None else chosen
    shown = [measure for measure in offered if measure.key in keys][:MOST_MEASURES]
    known = noise.for_run(run)
    return Trend(
        lines=_lines(rows, patience),
        convergence=convergence.for_run(run, rows),
        selection=selection.for_run(run, rows),
        patience=patience,
        scores=_scores(rows),
        measures=_measures("Measures by epoch, in percent", rows, shown, known) if shown else None,
        all_measures=_measures("All measures by epoch, in percent", rows, offered, known) if offered else None,
        offered=offered,
        shown=[measure.key for measure in shown],
    )


def _lines(rows: Sequence[EpochResult], patience: Patience) -> list[Line]:
    """The epochs in order; issues are compared with the last epoch before whose issues are known."""
    found = []
    before: frozenset[str] | None = None
    averages: list[tuple[int, float]] = []
    for row in rows:
        here = selection.issues_of(row)
        own = convergence.by_people([row])
        averages += own
        words, words_before = _by_kind(here), _by_kind(before)
        is_compared = here is not None and before is not None
        found.append(
            Line(
                result=row,
                suggested=_suggested(row),
                new=None if here is None else _other(words, words_before),
                persisting=_other(words, set(words) - set(words_before)) if is_compared else None,
                resolved=_other(words_before, words) if is_compared else None,
                said=convergence.judge(averages, patience) if own else None,
            )
        )
        before = before if here is None else here
    return found


def _by_kind(issues: frozenset[str] | None) -> dict[str, list[str]]:
    """Issues by what they are about: people name the same background in other words each time."""
    found: dict[str, list[str]] = defaultdict(list)
    for issue in issues or ():
        kind = issue if issue in metrics.ISSUES else verdicts.kind_of_issue(issue)
        found[kind or issue].append(issue)
    return found


def _other(words: Mapping[str, Sequence[str]], than: Collection[str]) -> list[str]:
    """The words of the kinds that are not among the others."""
    return selection.words(issue for kind, issues in words.items() if kind not in than for issue in issues)


def _scores(rows: Sequence[EpochResult]) -> Chart:
    people = [row if convergence.by_people([row]) else None for row in rows]
    series = [
        *(
            Series(label=label, values=[getattr(row, name) if row else None for row in people])
            for name, label in _LABELS.items()
        ),
        Series(label="mean", values=[_rounded(row.average) if row else None for row in people], is_thick=True),
    ]
    suggested = [_rounded(_suggested(row)) for row in rows]
    scripts = [_rounded(row.average) if row.average is not None and row.is_machine_scored else None for row in rows]
    for label, values in (("suggested mean", suggested), ("mean by a script", scripts)):
        if any(each is not None for each in values):
            series.append(Series(label=label, values=values, is_dashed=True))
    return Chart(label="Scores by epoch", epochs=[row.epoch_number for row in rows], highest=10, series=series)


def _measures(label: str, rows: Sequence[EpochResult], shown: Sequence[Measure], known: noise.Noise) -> Chart:
    series = [_measure(rows, measure, known) for measure in shown]
    epochs = [row.epoch_number for row in rows]
    return Chart(label=label, epochs=epochs, highest=100, series=series)


def _measure(rows: Sequence[EpochResult], measure: Measure, known: noise.Noise) -> Series:
    """A measure's mean over each epoch's pictures; the band holds 19 of 20 drawings of the same epoch with other seeds."""
    values = [_means(row).get(measure.key) for row in rows]
    band = None
    if measure.key in known:
        judged = [(results.metrics_ours(row) or {}).get("judged", {}).get(measure.key) for row in rows]
        wide = [noise.floor(known[measure.key]["rms"], n) if n else None for n in judged]
        pairs = list(zip(values, wide, strict=True))
        low = [_percent(max(0.0, mean - by)) if mean is not None and by is not None else None for mean, by in pairs]
        high = [_percent(min(1.0, mean + by)) if mean is not None and by is not None else None for mean, by in pairs]
        band = (low, high)
    percent = [None if mean is None else _percent(mean) for mean in values]
    return Series(label=measure.label, values=percent, band=band)


def _means(row: EpochResult) -> dict[str, float]:
    found = results.metrics_ours(row) or {}
    means: dict[str, float] = found.get("means", {})
    return means


def _suggested(row: EpochResult) -> float | None:
    """The mean of the latest suggestion; None unless it has all three scores."""
    entries: list[ScoreEntry] = row.suggestions  # type: ignore[attr-defined]
    given = [getattr(entries[0], name) for name in EpochResult.SCORES] if entries else []
    known = [score for score in given if score is not None]
    return sum(known) / len(known) if len(known) == len(EpochResult.SCORES) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _percent(share: float) -> float:
    return round(100 * share, 1)
