"""Epochs by prompts at the same seed, of one run or several, at one LoRA weight or all: what page and exports show.

The number of queries is the same however many runs, epochs and pictures there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evaluation.gallery import CHECKS, marks_of, row_marks
from evaluation.matrix_models import WeightRender
from evaluation.models import EpochResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.suite_models import SuitePrompt
from evaluation.weights import AS_TRAINED, WITHOUT
from punklab.diffusion.base import BaseError
from runs.bases import base_for
from runs.models import Checkpoint, TrainingRun

_FIELDS = ("pk", "checkpoint", "test_prompt", "request__seed", "status", "message", "finished", "raw")
_SCORED = ("training_run", "epoch_number", "verdict", *EpochResult.SCORES)
_RESULT_FIELDS = tuple(f"result__{name}" for name in CHECKS)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody wants to see. `seed` None: the suite's; `weight` None: all that are drawn, a row each."""

    runs: Sequence[TrainingRun]
    epochs: Collection[int] | None = None
    seed: int | None = None
    weight: float | None = AS_TRAINED
    by_epoch: bool = False
    beside: Sequence[Checkpoint] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    prompt: TestPrompt
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture: `kind` ("render" or "weight") and `pk` name its row, `words` say why it cannot be seen."""

    kind: str
    pk: int
    words: str = ""
    finished: str = ""
    raw: str = ""
    marks: tuple[tuple[str, bool], ...] = ()

    @property
    def code(self) -> str:
        """Which picture it is, in the page's words: "r12", a test render, or "w7", one at another weight."""
        return f"{self.kind[0]}{self.pk}" if self.finished else ""

    @property
    def path(self) -> str:
        """The end of the address of its 24x24; `raw_path` that of the picture as rendered."""
        return f"{self.kind}/{self.pk}/0/"

    @property
    def raw_path(self) -> str:
        return f"{'raw' if self.kind == 'render' else 'weight-raw'}/{self.pk}/0/" if self.raw else self.path

    @property
    def missed(self) -> str:
        """What was measured to be otherwise than asked, in words; empty where nothing is."""
        return ", ".join(part for part, matches in self.marks if not matches)


@dataclass(kw_only=True)
class Row:
    """One checkpoint at one weight; `cells` in the order of the columns, None where nothing was queued.

    `weights` are the others that can be shown in its place, each with its cells."""

    label: str
    checkpoint: Checkpoint
    weight: float = AS_TRAINED
    is_baseline: bool = False
    epoch_result: EpochResult | None = None
    suggestion: ScoreEntry | None = None
    cells: Sequence[Cell | None] = ()
    weights: Mapping[float, Sequence[Cell | None]] = field(default_factory=dict)

    @property
    def weight_word(self) -> str:
        return f"{self.weight:g}"

    @property
    def title(self) -> str:
        return self._at(self.label)

    @property
    def short_title(self) -> str:
        """The title below the name of its run."""
        return self.title if self.is_baseline else self._at(f"epoch {self.checkpoint.epoch}")

    def _at(self, label: str) -> str:
        return label if self.weight == AS_TRAINED else f"{label} at {self.weight_word}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows under one heading: the baselines, a run, or, by epoch, all runs at once."""

    title: str
    rows: Sequence[Row]
    run: TrainingRun | None = None


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """`seeds` and `weights` are those that can be asked for; `n_left_out` rows were too many for one page."""

    columns: Sequence[Column]
    groups: Sequence[Group]
    seeds: Sequence[int]
    weights: Sequence[float]
    n_left_out: int = 0

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows]

    @property
    def n_cells(self) -> int:
        return len(self.columns) * len(self.rows)


Key = tuple[int, int | None]  # test prompt and seed


def matrix(question: Question, most_cells: int | None = None) -> Matrix:
    """The pictures that were asked for; at most so many cells, None for all."""
    bases = _bases(question.runs)
    baselines = list({each.pk: each for each in (*bases.values(), *question.beside)}.values())
    own = _epochs(question, {each.pk for each in baselines})
    checkpoints, n_left_out = _fitting([*baselines, *own], most_cells)
    drawn, seeds_of = _drawn(checkpoints)
    at_weights = _at_weights(checkpoints)
    columns = _columns(seeds_of, question.seed)
    keys = [(column.prompt.pk, column.seed) for column in columns]
    rows: list[Row] = []
    for checkpoint in checkpoints:
        row = _row(checkpoint, question.runs, checkpoint in baselines)
        pictures: dict[float, Mapping[Key, Cell]] = {AS_TRAINED: drawn.get(checkpoint.pk, {})}
        if checkpoint.sha256:
            pictures |= at_weights.get(checkpoint.pk, {})
            base = bases.get(checkpoint.base_model)
            pictures[WITHOUT] = drawn.get(base.pk, {}) if base else {}
        row.weights = {weight: [found.get(key) for key in keys] for weight, found in sorted(pictures.items())}
        rows += _at(row, question.weight, bool(at_weights.get(checkpoint.pk)))
    _judged(rows)
    return Matrix(
        columns=columns,
        groups=_groups(rows, question),
        seeds=sorted({seed for _, seed in seeds_of if seed is not None}),
        weights=sorted({weight for row in rows for weight in row.weights} | {AS_TRAINED}),
        n_left_out=n_left_out,
    )


def _bases(runs: Iterable[TrainingRun]) -> dict[str, Checkpoint]:
    """The base without a LoRA by its name, for each base that the runs name and that is here."""
    names = set()
    for name in {run.base_model for run in runs}:
        try:
            names.add(base_for(name).name)
        except BaseError:  # one of the lab's past runs, on a base that is not here
            continue
    found = Checkpoint.objects.filter(source=Checkpoint.Source.BASE, base_model__in=names)
    return {base.base_model: base for base in found.order_by("created_at")}


def _epochs(question: Question, apart: set[int]) -> list[Checkpoint]:
    found = Checkpoint.objects.filter(run__in=question.runs, epoch__gt=0).exclude(pk__in=apart).defer("header")
    if question.epochs is not None:
        found = found.filter(epoch__in=question.epochs)
    runs = {run.pk: run for run in question.runs}
    places = {pk: place for place, pk in enumerate(runs)}
    checkpoints = list(found)
    for checkpoint in checkpoints:
        checkpoint.run = runs[checkpoint.run_id or 0]
    if question.by_epoch:
        return sorted(checkpoints, key=lambda each: (each.epoch or 0, places[each.run_id or 0]))
    return sorted(checkpoints, key=lambda each: (places[each.run_id or 0], each.epoch or 0))


def _fitting(checkpoints: list[Checkpoint], most_cells: int | None) -> tuple[list[Checkpoint], int]:
    """As many of the checkpoints as fit, and how many were left out."""
    if most_cells is None:
        return checkpoints, 0
    prompts = TestRender.objects.filter(checkpoint__in=checkpoints).order_by().values("test_prompt").distinct().count()
    fitting = checkpoints[: max(1, most_cells // max(1, prompts))]
    return fitting, len(checkpoints) - len(fitting)


def _drawn(checkpoints: Sequence[Checkpoint]) -> tuple[dict[int, dict[Key, Cell]], Counter[Key]]:
    """The checkpoints' test renders, the latest of a prompt and seed; and how often each pair was asked by the suite."""
    found: dict[int, dict[Key, Cell]] = defaultdict(dict)
    seen: Counter[Key] = Counter()
    renders = TestRender.objects.filter(checkpoint__in=checkpoints).exclude(status=Status.CANCELLED)
    rows = renders.order_by("queued_at", "pk").values_list(*_FIELDS, "is_repeat", *_RESULT_FIELDS, named=True)
    unjudged: dict[int, tuple[int, Key]] = {}
    for row in rows:
        key = (row.test_prompt, row.request__seed)
        seen[key] += 0 if row.is_repeat else 1
        is_judged = row.result__is_pixel_art is not None
        if not is_judged and row.status == Status.RENDERED:
            unjudged[row.pk] = (row.checkpoint, key)
        found[row.checkpoint][key] = _cell("render", row, row_marks(*row[-len(CHECKS) :]) if is_judged else ())
    for pk, measures in TestRender.objects.filter(pk__in=unjudged).values_list("pk", "measures"):
        checkpoint, key = unjudged[pk]
        if found[checkpoint][key].pk == pk:
            found[checkpoint][key] = replace(found[checkpoint][key], marks=marks_of(measures))
    return found, seen


def _at_weights(checkpoints: Sequence[Checkpoint]) -> dict[int, dict[float, dict[Key, Cell]]]:
    found: dict[int, dict[float, dict[Key, Cell]]] = defaultdict(lambda: defaultdict(dict))
    renders = WeightRender.objects.filter(checkpoint__in=checkpoints).exclude(status=Status.CANCELLED)
    for row in renders.order_by("queued_at", "pk").values_list(*_FIELDS, "lora_weight", named=True):
        found[row.checkpoint][row.lora_weight][row.test_prompt, row.request__seed] = _cell("weight", row)
    return found


def _cell(kind: str, row: Any, marks: tuple[tuple[str, bool], ...] = ()) -> Cell:
    if row.status == Status.RENDERED and row.finished:
        return Cell(kind=kind, pk=row.pk, finished=row.finished, raw=row.raw, marks=marks)
    return Cell(kind=kind, pk=row.pk, words=row.message or Status(row.status).label)


def _columns(seen: Counter[Key], seed: int | None) -> list[Column]:
    """The prompts in the suite's order, each with one seed: the asked one, else the suite's, else its most frequent."""
    places = {place.test_prompt_id: place for place in SuitePrompt.objects.all()}
    seeds: dict[int, Counter[int | None]] = defaultdict(Counter)
    for (prompt, its_seed), n in seen.items():
        seeds[prompt][its_seed] = n
    prompts = TestPrompt.objects.in_bulk(list(seeds))
    columns = []
    for pk, counts in seeds.items():
        usual = places[pk].seed if pk in places else None
        chosen = seed if seed is not None else usual if counts[usual] else counts.most_common(1)[0][0]
        if chosen in counts:
            columns.append(Column(prompt=prompts[pk], seed=chosen))
    last = len(places) + 1
    return sorted(columns, key=lambda each: (getattr(places.get(each.prompt.pk), "position", last), each.prompt.pk))


def _row(checkpoint: Checkpoint, runs: Sequence[TrainingRun], is_baseline: bool) -> Row:
    is_alone = len(runs) == 1 and checkpoint.run_id == runs[0].pk
    label = f"epoch {checkpoint.epoch}" if is_alone else str(checkpoint)
    return Row(label=label, checkpoint=checkpoint, is_baseline=is_baseline)


def _at(row: Row, weight: float | None, has_weights: bool) -> list[Row]:
    """The row at the asked weight, or one row for each."""
    if weight is not None or not has_weights:
        chosen = AS_TRAINED if weight is None or not row.checkpoint.sha256 else weight
        nothing = [None] * len(row.weights[AS_TRAINED])
        return [replace(row, weight=chosen, cells=row.weights.get(chosen, nothing))]
    return [replace(row, weight=one, cells=cells, weights={}) for one, cells in row.weights.items()]


def _judged(rows: Iterable[Row]) -> None:
    """Give the rows what people and measures said of their epochs, as far as it is shown. Two queries."""
    shown = {(row.checkpoint.run_id, row.checkpoint.epoch) for row in rows}
    results = EpochResult.objects.filter(training_run__in={run for run, _ in shown if run}).only(*_SCORED)
    by_epoch = {(one.training_run_id, one.epoch_number): one for one in results}
    entries = ScoreEntry.objects.filter(
        epoch_result__in=[one.pk for key, one in by_epoch.items() if key in shown], source=ScoreEntry.Source.MACHINE
    ).exclude(reasons=[])
    latest = entries.order_by("epoch_result_id", "-created_at", "-pk").distinct("epoch_result_id")
    suggested = {entry.epoch_result_id: entry for entry in latest.only("epoch_result", *EpochResult.SCORES)}
    for row in rows:
        if row.weight != AS_TRAINED:
            continue  # scores are of the pictures as trained
        row.epoch_result = by_epoch.get((row.checkpoint.run_id, row.checkpoint.epoch or 0))
        row.suggestion = suggested.get(row.epoch_result.pk) if row.epoch_result else None


def _groups(rows: Sequence[Row], question: Question) -> list[Group]:
    baselines = [row for row in rows if row.is_baseline]
    own = [row for row in rows if not row.is_baseline]
    groups = [Group(title="Baselines", rows=baselines)]
    if question.by_epoch:
        groups.append(Group(title="Epoch by epoch", rows=own))
    else:
        for run in question.runs:
            of_run = [row for row in own if row.checkpoint.run_id == run.pk]
            groups.append(Group(title=str(run), rows=of_run, run=run))
    return [group for group in groups if group.rows]
