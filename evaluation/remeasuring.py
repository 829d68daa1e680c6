"""Pictures measured again from their files, by several processes: after an upgrade, or when captions changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from evaluation import results
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab.pixels.many import Job, measure_files
from punklab.pixels.measures import VERSION
from runs.collections import collection_for
from runs.models import AdoptedPicture, TrainingRun

# A key that is not there is neither equal nor unequal, in SQL.
_NOT_CURRENT = Q(measures__isnull=True) | ~Q(measures__has_key="version") | ~Q(measures__version=VERSION)


@dataclass
class Done:
    """What was done: pictures measured, a sentence for each that could not be, epochs whose rows were written."""

    measured: int = 0
    epochs: int = 0
    problems: list[str] = field(default_factory=list)


def remeasure(run: TrainingRun | None = None, *, everything: bool = False, processes: int | None = None) -> Done:
    """Measure a run's pictures (None: all runs') from their files and bring results and epochs up to date.

    Only those without measures of this version, unless `everything`. A person's word in a result or epoch stays. Safe to
    stop and to repeat: a picture's measures are written as soon as they are known."""
    done = Done()
    renders = TestRender.objects.filter(status=Status.RENDERED).select_related("checkpoint__run", "test_prompt")
    adopted = AdoptedPicture.objects.select_related("run")
    if run is not None:
        renders, adopted = renders.filter(checkpoint__run=run), adopted.filter(run=run)
    if not everything:
        renders, adopted = renders.filter(_NOT_CURRENT), adopted.filter(_NOT_CURRENT)
    _drawn(renders, done, processes)
    _adopted(adopted, done, processes)
    return done


def _drawn(renders: Iterable[TestRender], done: Done, processes: int | None) -> None:
    by_run: dict[int | None, list[TestRender]] = defaultdict(list)
    for render in renders:
        by_run[render.checkpoint.run_id].append(render)
    for some in by_run.values():
        jobs = [Job(render.raw_path, render.request["prompt"]) for render in some if render.raw_path]
        measured = measure_files(jobs, collection_for(some[0].checkpoint.run), processes)
        for render, found in zip([render for render in some if render.raw_path], measured, strict=True):
            if "error" in found:
                done.problems.append(f"{render}: {render.raw_path} {found['error']}")
                continue
            done.measured += 1
            results.write_measures(render, found)
        for checkpoint in {render.checkpoint_id: render.checkpoint for render in some}.values():
            done.epochs += results.summarise(checkpoint) is not None


def _adopted(pictures: Iterable[AdoptedPicture], done: Done, processes: int | None) -> None:
    by_run: dict[int, list[AdoptedPicture]] = defaultdict(list)
    for picture in pictures:
        by_run[picture.run_id].append(picture)
    for some in by_run.values():
        jobs = [Job(picture.path, results.prompt_of(picture)) for picture in some]
        measured = measure_files(jobs, collection_for(some[0].run), processes)
        for picture, found in zip(some, measured, strict=True):
            if "error" in found:
                done.problems.append(f"{picture}: {picture.path} {found['error']}")
                continue
            done.measured += 1
            AdoptedPicture.objects.filter(pk=picture.pk).update(measures=found)
        for epoch in {picture.epoch for picture in some}:
            done.epochs += results.summarise_adopted(some[0].run, epoch) is not None
