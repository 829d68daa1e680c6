"""The lab's checklists for a run, ticked by its records: what is done, what is missing, and where to do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from evaluation.gallery import Card
from evaluation.models import TestRender
from evaluation.renderjob import Status
from runs.config import Config, lint
from runs.models import TrainingRun
from runs.nearest import ENDED
from runs.plans import parameters_for
from runs.run_facts import ENOUGH_DISK, Captions, free_disk


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to do; `done` None: no record here can tell. `links` lead to what is missing, label and address."""

    text: str
    done: bool | None
    detail: str = ""
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Checklist:
    title: str
    items: Sequence[Item]


def checklists(
    run: TrainingRun, cards: Sequence[Card], captions: Captions, best: int | None, *, may_close: bool
) -> list[Checklist]:
    """Before the training, per epoch, after the training; `best` is the epoch that people scored best. One query."""
    return [
        Checklist(title="Before training", items=_before(run, cards, captions)),
        Checklist(title="Per epoch", items=_per_epoch(run, cards)),
        Checklist(title="After training", items=_after(run, cards, best, may_close=may_close)),
    ]


def _before(run: TrainingRun, cards: Sequence[Card], captions: Captions) -> list[Item]:
    return [_captions(captions), Item(text="Run logged", done=True), _disk(cards), _config(run)]


def _captions(captions: Captions) -> Item:
    text = "Captions checked"
    if captions.version is None:
        return Item(text=text, done=False, detail=f"no record of {captions.name or 'a caption version'} is here")
    if captions.counts is None:
        page = reverse("admin:runs_captionversion_change", args=(captions.version.pk,))
        return Item(
            text=text, done=False, detail="the captions are not here: import them", links=((captions.name, page),)
        )
    if not captions.is_checked:
        return Item(text=text, done=None, detail="being checked now: reload this page in a while")
    findings = reverse("admin:runs_captionversion_findings", args=(captions.version.pk,))
    n = sum(captions.counts.values())
    detail = f"{captions.n_blocking} blocking, {n - captions.n_blocking} other findings"
    return Item(text=text, done=not captions.n_blocking, detail=detail, links=(("findings", findings),) if n else ())


def _disk(cards: Sequence[Card]) -> Item:
    text = "500 MB free for checkpoints"
    if any(card.checkpoint for card in cards):
        return Item(text=text, done=True, detail="its checkpoints were written")
    free = free_disk()
    return Item(text=text, done=free >= ENOUGH_DISK, detail=f"{filesizeformat(free)} free")


def _config(run: TrainingRun) -> Item:
    text = "Training config without errors"
    if not run.all_parameters:
        return Item(text=text, done=None, detail="the row does not hold its config")
    errors = [found for found in lint(Config(values=parameters_for(run))) if found.level == "error"]
    return Item(text=text, done=not errors, detail="; ".join(f"{found.detail}: {found.mend}" for found in errors))


def _per_epoch(run: TrainingRun, cards: Sequence[Card]) -> list[Item]:
    there = {card.epoch: card for card in cards}
    epochs = _expected(run, cards)

    def item(text: str, is_done: Callable[[Card], bool]) -> Item:
        missing = [epoch for epoch in epochs if epoch not in there or not is_done(there[epoch])]
        links = [(f"epoch {epoch}", f"#epoch-{epoch}") for epoch in missing if epoch in there][:12]
        detail = f"{len(epochs) - len(missing)} of {len(epochs)} epochs"
        return Item(text=text, done=bool(epochs) and not missing, detail=detail, links=links)

    return [
        item("Checkpoint kept", lambda card: card.checkpoint is not None),
        item("Test pictures drawn", lambda card: any(picture.url for picture in card.pictures)),
        item("Scored by a person", _is_scored),
        item("Logged", lambda card: card.result is not None),
        Item(text="Committed to version control", done=None, detail="no record of that is kept here yet"),
    ]


def _after(run: TrainingRun, cards: Sequence[Card], best: int | None, *, may_close: bool) -> list[Item]:
    is_closed = run.overall_verdict in ENDED
    page = reverse("admin:runs_trainingrun_act", args=(run.pk, "close"))
    close = (("close the run", page),) if may_close and not is_closed else ()
    compare = (("side by side", reverse("evaluation:compare", args=(run.pk,))),)
    unscored = [(f"epoch {card.epoch}", f"#epoch-{card.epoch}") for card in cards if not _is_scored(card)]
    n_missing = len(_expected(run, cards)) - len(cards)
    chosen = run.best_epoch if run.best_epoch is not None else best
    ready = (("its epoch", f"#epoch-{chosen}"),) if chosen is not None else ()
    return [
        Item(
            text="All epochs evaluated",
            done=bool(cards) and not unscored and not n_missing,
            detail=f"{n_missing} still to come" if n_missing else "",
            links=unscored[:12],
        ),
        Item(
            text="Best epoch identified",
            done=chosen is not None,
            detail=f"epoch {chosen}" if chosen is not None else "people's scores tell it",
            links=() if chosen is not None else compare,
        ),
        Item(text="Full comparison drawn", done=_is_drawn_in_full(run, chosen), links=compare),
        Item(
            text="Production readiness assessed",
            done=bool(run.production_ready) or is_closed,
            detail="production ready" if run.production_ready else f"closed as {run.overall_verdict}" * is_closed,
            links=() if run.production_ready or is_closed else ready,
        ),
        Item(text="Run marked complete", done=is_closed and run.status != "in_progress", links=close),
        Item(text="Learnings documented", done=bool((run.key_findings or "").strip()), links=close),
    ]


def _expected(run: TrainingRun, cards: Sequence[Card]) -> list[int]:
    """The epochs that there are, and those that are to come while the run is in progress."""
    to_come = range(1, min(run.epochs, 1000) + 1) if run.status == "in_progress" else ()
    return sorted({*(card.epoch for card in cards), *to_come})


def _is_scored(card: Card) -> bool:
    return card.result is not None and card.result.average is not None and not card.result.is_machine_scored


def _is_drawn_in_full(run: TrainingRun, epoch: int | None) -> bool:
    drawn: Any = TestRender.objects.filter(checkpoint__run=run, checkpoint__epoch=epoch, status=Status.RENDERED)
    return epoch is not None and bool(drawn.filter(priority__gte=TestRender.LATER_SEEDS).exists())
