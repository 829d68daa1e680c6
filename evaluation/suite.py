"""Which test pictures a checkpoint gets, queued once; how long they take; how to stop them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from evaluation import results, tasks
from evaluation.models import TestPrompt, TestRender
from evaluation.prompts import NEGATIVE_PROMPT, put_in_place
from evaluation.renderjob import FINAL, Status
from evaluation.requests import finish_for, request_for
from evaluation.suite_models import SuitePrompt, SuiteRule
from punklab.diffusion.base import BaseError
from punklab.diffusion.profiles import Family
from punklab.diffusion.request import RequestError
from punklab.pixels import finish as finishes
from punklab.roles import TRAIN, role_for
from runs.bases import base_for
from runs.models import Checkpoint

# Seconds a picture takes where none has been drawn yet: guesses, said to be such
GUESSED_SECONDS = {"cuda": 3.0, "mps": 20.0, "cpu": 180.0}
GUESSED_SECONDS_MINIATURE = 1.0
SUITE_LOCK = 0x70756E6C  # of this application's advisory locks, the one for filling an empty suite
REPEAT_SEED = 1000  # added to the suite's seeds for each further look
MOST_SEEDS = 20  # further looks that may be asked for at once
SETTINGS_OF_SECONDS = ("base", "width", "height", "steps", "scheduler")


Size = SuiteRule.Size
N_PROMPTS: dict[str, int | None] = {Size.QUICK: 1, Size.MEDIUM: 3, Size.FULL: None}
N_SEEDS: dict[str, int] = {Size.QUICK: 1, Size.MEDIUM: 1, Size.FULL: 3}


class SuiteError(Exception):
    """A suite that cannot be queued; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a suite takes: `pictures` still to draw, `seconds` in all, and whether that is measured or guessed."""

    pictures: int
    seconds: float
    measured: bool

    def __str__(self) -> str:
        if not self.pictures:
            return "all its pictures are drawn or queued already"
        pictures = f"{self.pictures} picture{'' if self.pictures == 1 else 's'}"
        length = f"{self.seconds / 60:.1f} minutes" if self.seconds >= 60 else f"{max(1, round(self.seconds))} seconds"
        source = "measured on this machine" if self.measured else "a first guess: none has been drawn here yet"
        return f"{pictures}, about {length} ({source})"


def prompts(size: str = Size.FULL) -> list[SuitePrompt]:
    """The test prompts of a suite in their order; the quick one is the first. Raises SuiteError for another size.

    A suite that is empty, as on a database of the lab's that was just adopted, is filled first."""
    try:
        n_prompts = N_PROMPTS[Size(size)]
    except ValueError as error:
        raise SuiteError(f"There is no suite {size!r}: {', '.join(Size)} are possible.") from error
    if not SuitePrompt.objects.exists():
        _fill()
    active = SuitePrompt.objects.filter(retired_at=None).select_related("test_prompt").order_by("position")
    return list(active[:n_prompts])


def queue(
    checkpoint: Checkpoint,
    size: str = Size.FULL,
    by: User | None = None,
    *,
    again: bool = True,
    n_seeds: int | None = None,
) -> int:
    """Queue the suite's pictures that this checkpoint lacks; return how many. Again queues nothing.

    `n_seeds` of each prompt, None for as many as the suite has. With `again`, pictures that failed, were given up or cancelled are queued once more. Raises SuiteError when they cannot be drawn,
    PermissionDenied when `by` may not run trainings and their tests."""
    refuse_stranger(by)
    return _queue(checkpoint, wanted(checkpoint, size, n_seeds=n_seeds), again=again)


def queue_repeats(checkpoint: Checkpoint, by: User | None = None) -> int:
    """Queue each prompt of the suite once more with another seed, so that what chance alone changes can be measured; return how many.

    Raises as `queue` does."""
    refuse_stranger(by)
    return queue_seeds(checkpoint, 1, by)


def queue_seeds(checkpoint: Checkpoint, n_seeds: int, by: User | None = None) -> int:
    """Queue the whole suite with `n_seeds` seeds besides its own, as blind pairs need them; return how many were missing.

    The same seeds for every checkpoint. Raises SuiteError for a number out of 1 to 20, and as `queue` does."""
    refuse_stranger(by)
    if not 1 <= n_seeds <= MOST_SEEDS:
        raise SuiteError(f"{n_seeds} further seeds: from 1 to {MOST_SEEDS} are possible.")
    asked = [render for look in range(n_seeds) for render in wanted(checkpoint, look=look + 1)]
    return _queue(checkpoint, asked)


def refuse_stranger(by: User | None) -> None:
    """Raise PermissionDenied when `by` may not queue test pictures; None is whoever sits at the machine."""
    if by is not None and not by.has_perm(TRAIN):
        raise PermissionDenied(f"{by} may not queue test pictures: it needs the role {role_for(TRAIN)}.")


def _queue(checkpoint: Checkpoint, asked: list[TestRender], *, again: bool = True) -> int:
    with transaction.atomic():
        Checkpoint.objects.select_for_update(no_key=True).get(pk=checkpoint.pk)
        results.epoch_result_for(checkpoint)
        known = _known(checkpoint, asked)
        missing = [render for render in asked if _key(render) not in known]
        TestRender.objects.bulk_create(missing)
        n_queued = len(missing)
        if again:
            n_queued += TestRender.objects.filter(pk__in=known.values(), status__in=FINAL - {Status.RENDERED}).update(
                status=Status.QUEUED, attempts=0, message="", queued_at=timezone.now(), started_at=None, ended_at=None
            )
        if n_queued:
            async_task(tasks.render_checkpoint, checkpoint.pk, cluster=settings.TESTS_CLUSTER, group=tasks.GROUP)
    return n_queued


def cancel(checkpoint: Checkpoint) -> int:
    """Take the checkpoint's queued pictures off the queue; return how many. One that is being drawn is finished."""
    return TestRender.objects.filter(checkpoint=checkpoint, status=Status.QUEUED).update(
        status=Status.CANCELLED, ended_at=timezone.now(), message="Cancelled."
    )


def estimate(checkpoint: Checkpoint, size: str = Size.FULL, *, n_seeds: int | None = None) -> Estimate:
    """How long the pictures take that the checkpoint still lacks, by those drawn last with the same base and settings.

    Raises SuiteError when they cannot be drawn."""
    asked = wanted(checkpoint, size, n_seeds=n_seeds)
    known = _known(checkpoint, asked)
    again = TestRender.objects.filter(pk__in=known.values(), status__in=FINAL - {Status.RENDERED}).count()
    n_pictures = len(asked) - len(known) + again
    return estimate_of(asked[0], n_pictures) if asked else Estimate(pictures=0, seconds=0, measured=True)


def estimate_of(render: TestRender, n_pictures: int) -> Estimate:
    """How long so many pictures like this one take, by those drawn last with the same base and settings. A query."""
    each, measured = _pace(render.checkpoint, render.request)
    return Estimate(pictures=n_pictures, seconds=n_pictures * each, measured=measured)


def whole(checkpoint: Checkpoint) -> dict[str, Estimate]:
    """How long each suite takes from its first picture to its last, by size. Raises SuiteError when it cannot be drawn.

    Three queries; no caption is read, as the finish of a picture would need."""
    try:
        _drawable(checkpoint)
        request = request_for(checkpoint, prompt="", seed=0, finish=finishes.name_of(finishes.MOST))
    except (BaseError, RequestError) as error:
        raise SuiteError(f"{checkpoint} cannot be drawn: {error}") from error
    each, measured = _pace(checkpoint, json.loads(request.to_json()))
    n_prompts = len(prompts())
    found = {}
    for size in Size:
        most = N_PROMPTS[size]
        n_pictures = N_SEEDS[size] * (n_prompts if most is None else min(most, n_prompts))
        found[str(size)] = Estimate(pictures=n_pictures, seconds=n_pictures * each, measured=measured)
    return found


def pictures(checkpoint: Checkpoint, size: str = Size.FULL, *, n_seeds: int | None = None) -> list[TestRender]:
    """The rows that the suite has of this checkpoint, whatever became of them. Raises SuiteError as `wanted` does."""
    known = _known(checkpoint, wanted(checkpoint, size, n_seeds=n_seeds))
    return list(TestRender.objects.filter(pk__in=known.values()))


def _fill() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SUITE_LOCK])
        if not SuitePrompt.objects.exists():
            put_in_place(TestPrompt, SuitePrompt)


def wanted(
    checkpoint: Checkpoint, size: str = Size.FULL, *, look: int = 0, n_seeds: int | None = None
) -> list[TestRender]:
    """The suite's rows for this checkpoint, unsaved; of look 0 with the suite's own seeds, `n_seeds` of each prompt.

    Raises SuiteError when they cannot be drawn."""
    try:
        _drawable(checkpoint)
        finish = finish_for(checkpoint)
        places = prompts(size)
        if look:
            return [_render(checkpoint, place, finish, look=look) for place in places]
        # The first seed of every prompt before the second of any: a suite that is cut short is broad
        return [
            _render(checkpoint, place, finish, nth=nth) for nth in range(n_seeds or N_SEEDS[size]) for place in places
        ]
    except (BaseError, RequestError) as error:
        raise SuiteError(f"{checkpoint} cannot be drawn: {error}") from error


def _render(checkpoint: Checkpoint, place: SuitePrompt, finish: str, *, nth: int = 0, look: int = 0) -> TestRender:
    prompt = place.test_prompt
    negative = NEGATIVE_PROMPT if prompt.negative_prompt is None else prompt.negative_prompt
    seed = place.seed + nth + look * REPEAT_SEED
    request = request_for(checkpoint, prompt=prompt.prompt_text, negative_prompt=negative, seed=seed, finish=finish)
    return TestRender(
        checkpoint=checkpoint,
        test_prompt=prompt,
        request=json.loads(request.to_json()),
        digest=request.digest(),
        priority=place.position + nth * TestRender.LATER_SEEDS,
        is_repeat=look > 0,
    )


def _key(render: TestRender) -> tuple[int, str]:
    return render.test_prompt_id, render.digest


def _known(checkpoint: Checkpoint, renders: list[TestRender]) -> dict[tuple[int, str], int]:
    """The keys of those rows that are there already."""
    there = TestRender.objects.filter(checkpoint=checkpoint, digest__in=[render.digest for render in renders])
    asked = {_key(render) for render in renders}
    return {_key(render): render.pk for render in there if _key(render) in asked}


def _drawable(checkpoint: Checkpoint) -> None:
    base = base_for(checkpoint.base_model)
    if not base.profile.renderable:
        raise SuiteError(f"{checkpoint} cannot be drawn: {base.profile.note}")


def _pace(checkpoint: Checkpoint, request: Mapping[str, Any]) -> tuple[float, bool]:
    """Seconds a picture of this base takes with these settings here, and whether that is measured."""
    same = {f"request__{field}": request[field] for field in SETTINGS_OF_SECONDS} if request else {}
    drawn = TestRender.objects.filter(status=Status.RENDERED, seconds__gt=0, **same)
    if settings.DEVICE != "auto":
        drawn = drawn.filter(device=settings.DEVICE)
    lately = drawn.order_by("-ended_at").values_list("seconds", flat=True)[:20]
    seconds = [one for one in lately if one is not None]
    return (sum(seconds) / len(seconds), True) if seconds else (_guess(checkpoint), False)


def _guess(checkpoint: Checkpoint) -> float:
    if base_for(checkpoint.base_model).profile.family == Family.MINIATURE:
        return GUESSED_SECONDS_MINIATURE
    return GUESSED_SECONDS.get(settings.DEVICE, GUESSED_SECONDS["cpu"])
