"""Which test pictures a checkpoint gets, queued once; how long they take; how to stop them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from evaluation import results, tasks
from evaluation.models import EpochResult, SuitePrompt, TestPrompt, TestRender
from evaluation.prompts import NEGATIVE_PROMPT, put_in_place
from evaluation.renderjob import FINAL, Status
from evaluation.requests import finish_for, request_for
from punklab.diffusion.base import BaseError, BaseModel
from punklab.diffusion.profiles import Family
from punklab.diffusion.request import RequestError
from punklab.roles import TRAIN, role_for
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint

logger = logging.getLogger(__name__)

# Seconds a picture takes where none has been drawn yet: guesses, said to be such
GUESSED_SECONDS = {"cuda": 3.0, "mps": 20.0, "cpu": 180.0}
GUESSED_SECONDS_MINIATURE = 1.0
SUITE_LOCK = 0x70756E6C  # of this application's advisory locks, the one for filling an empty suite
REPEAT_SEED = 1000  # added to the suite's seeds for each further look
MOST_SEEDS = 20  # further looks that may be asked for at once
SETTINGS_OF_SECONDS = ("base", "width", "height", "steps", "scheduler")


class Size(StrEnum):
    QUICK = "quick"
    MEDIUM = "medium"
    FULL = "full"


N_PROMPTS: dict[Size, int | None] = {Size.QUICK: 1, Size.MEDIUM: 3, Size.FULL: None}


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

    A suite that is empty, as on a database of the lab's that was just adopted, is filled with the lab's six first."""
    try:
        n_prompts = N_PROMPTS[Size(size)]
    except ValueError as error:
        raise SuiteError(f"There is no suite {size!r}: {', '.join(Size)} are possible.") from error
    if not SuitePrompt.objects.exists():
        _fill()
    active = SuitePrompt.objects.filter(retired_at=None).select_related("test_prompt").order_by("position")
    return list(active[:n_prompts])


def queue(checkpoint: Checkpoint, size: str = Size.FULL, by: User | None = None) -> int:
    """Queue the suite's pictures that this checkpoint lacks; return how many. Again queues nothing.

    Pictures that failed, were given up or cancelled are queued once more. Raises SuiteError when they cannot be drawn,
    PermissionDenied when `by` may not run trainings and their tests."""
    refuse_stranger(by)
    return _queue(checkpoint, wanted(checkpoint, size))


def queue_repeats(checkpoint: Checkpoint, by: User | None = None) -> int:
    """Queue the whole suite once more with other seeds, so that what chance alone changes can be measured; return how many.

    Raises as `queue` does."""
    refuse_stranger(by)
    return queue_seeds(checkpoint, 1, by)


def queue_seeds(checkpoint: Checkpoint, n_seeds: int, by: User | None = None) -> int:
    """Queue the whole suite with `n_seeds` seeds besides its own, as blind pairs need them; return how many were missing.

    The same seeds for every checkpoint. Raises SuiteError for a number out of 1 to 20, and as `queue` does."""
    refuse_stranger(by)
    if not 1 <= n_seeds <= MOST_SEEDS:
        raise SuiteError(f"{n_seeds} further seeds: from 1 to {MOST_SEEDS} are possible.")
    asked = [render for look in range(n_seeds) for render in wanted(checkpoint, Size.FULL, look=look + 1)]
    return _queue(checkpoint, asked)


def refuse_stranger(by: User | None) -> None:
    """Raise PermissionDenied when `by` may not run trainings and their tests; None is whoever sits at the machine."""
    if by is not None and not by.has_perm(TRAIN):
        raise PermissionDenied(f"{by} may not queue test pictures: it needs the role {role_for(TRAIN)}.")


def _queue(checkpoint: Checkpoint, asked: list[TestRender]) -> int:
    with transaction.atomic():
        Checkpoint.objects.select_for_update(no_key=True).get(pk=checkpoint.pk)
        results.epoch_result_for(checkpoint)
        known = _known(checkpoint, asked)
        missing = [render for render in asked if _key(render) not in known]
        TestRender.objects.bulk_create(missing)
        repeated = TestRender.objects.filter(pk__in=known.values(), status__in=FINAL - {Status.RENDERED}).update(
            status=Status.QUEUED, attempts=0, message="", queued_at=timezone.now(), started_at=None, ended_at=None
        )
        n_queued = len(missing) + repeated
        if n_queued:
            async_task(tasks.render_checkpoint, checkpoint.pk, cluster=settings.TESTS_CLUSTER, group=tasks.GROUP)
    return n_queued


def cancel(checkpoint: Checkpoint) -> int:
    """Take the checkpoint's queued pictures off the queue; return how many. One that is being drawn is finished."""
    return TestRender.objects.filter(checkpoint=checkpoint, status=Status.QUEUED).update(
        status=Status.CANCELLED, ended_at=timezone.now(), message="Cancelled."
    )


def queue_untested() -> int:
    """Give each trained checkpoint without test pictures the full suite, and its base too; return how many were queued.

    Scheduled each minute. Past files that were adopted get their epoch's row; their pictures are drawn when a person asks for them."""
    for checkpoint in _without_row():
        results.epoch_result_for(checkpoint)
    n_queued = 0
    bases: dict[str, BaseModel] = {}
    for checkpoint in _without_tests().filter(source=Checkpoint.Source.TRAINED).order_by("run", "epoch"):
        try:
            n_queued += queue(checkpoint)
            bases.setdefault(checkpoint.base_model, base_for(checkpoint.base_model))
        except SuiteError as error:
            logger.warning("no test pictures for %s: %s", checkpoint, error)
    return n_queued + sum(queue_baseline(base) for base in bases.values())


def queue_baseline(base: BaseModel) -> int:
    """Queue the full suite for the base model without a LoRA, once per base; return how many pictures were queued.

    Raises SuiteError when the base cannot be drawn with."""
    try:
        baseline = base_alone(base)
    except BaseError as error:
        raise SuiteError(str(error)) from error
    return 0 if baseline.test_renders.exists() else queue(baseline)


def estimate(checkpoint: Checkpoint, size: str = Size.FULL) -> Estimate:
    """How long the pictures take that the checkpoint still lacks, by those drawn last with the same base and settings.

    Raises SuiteError when they cannot be drawn."""
    asked = wanted(checkpoint, size)
    known = _known(checkpoint, asked)
    again = TestRender.objects.filter(pk__in=known.values(), status__in=FINAL - {Status.RENDERED}).count()
    n_pictures = len(asked) - len(known) + again
    return estimate_of(asked[0], n_pictures) if asked else Estimate(pictures=0, seconds=0, measured=True)


def estimate_of(render: TestRender, n_pictures: int) -> Estimate:
    """How long so many pictures like this one take, by those drawn last with the same base and settings. A query."""
    same = {f"request__{field}": render.request[field] for field in SETTINGS_OF_SECONDS}
    drawn = TestRender.objects.filter(status=Status.RENDERED, seconds__gt=0, **same)
    if settings.DEVICE != "auto":
        drawn = drawn.filter(device=settings.DEVICE)
    lately = drawn.order_by("-ended_at").values_list("seconds", flat=True)[:20]
    seconds = [one for one in lately if one is not None]
    one = sum(seconds) / len(seconds) if seconds else _guess(render.checkpoint)
    return Estimate(pictures=n_pictures, seconds=n_pictures * one, measured=bool(seconds))


def pictures(checkpoint: Checkpoint, size: str = Size.FULL) -> list[TestRender]:
    """The rows that the suite has of this checkpoint, whatever became of them. Raises SuiteError as `wanted` does."""
    known = _known(checkpoint, wanted(checkpoint, size))
    return list(TestRender.objects.filter(pk__in=known.values()))


def _fill() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SUITE_LOCK])
        if not SuitePrompt.objects.exists():
            put_in_place(TestPrompt, SuitePrompt)


def wanted(checkpoint: Checkpoint, size: str = Size.FULL, *, look: int = 0) -> list[TestRender]:
    """The suite's rows for this checkpoint, unsaved; of look 0 with the suite's own seeds.

    Raises SuiteError when they cannot be drawn."""
    try:
        base = base_for(checkpoint.base_model)
        if not base.profile.renderable:
            raise SuiteError(f"{checkpoint} cannot be drawn: {base.profile.note}")
        finish = finish_for(checkpoint)
        return [_render(checkpoint, place, finish, look) for place in prompts(size)]
    except (BaseError, RequestError) as error:
        raise SuiteError(f"{checkpoint} cannot be drawn: {error}") from error


def _render(checkpoint: Checkpoint, place: SuitePrompt, finish: str, look: int) -> TestRender:
    prompt = place.test_prompt
    negative = NEGATIVE_PROMPT if prompt.negative_prompt is None else prompt.negative_prompt
    seed = place.seed + look * REPEAT_SEED
    request = request_for(checkpoint, prompt=prompt.prompt_text, negative_prompt=negative, seed=seed, finish=finish)
    return TestRender(
        checkpoint=checkpoint,
        test_prompt=prompt,
        request=json.loads(request.to_json()),
        digest=request.digest(),
        priority=place.position,
        is_repeat=look > 0,
    )


def _key(render: TestRender) -> tuple[int, str]:
    return render.test_prompt_id, render.digest


def _known(checkpoint: Checkpoint, asked: list[TestRender]) -> dict[tuple[int, str], int]:
    """The keys of those rows that are there already."""
    there = TestRender.objects.filter(checkpoint=checkpoint, digest__in=[render.digest for render in asked])
    keys = {_key(render) for render in asked}
    return {_key(render): render.pk for render in there if _key(render) in keys}


def _without_tests() -> QuerySet[Checkpoint]:
    tested = TestRender.objects.filter(checkpoint=OuterRef("pk"))
    return Checkpoint.objects.filter(~Exists(tested), run__isnull=False, epoch__gt=0).select_related("run")


def _without_row() -> QuerySet[Checkpoint]:
    row = EpochResult.objects.filter(training_run=OuterRef("run"), epoch_number=OuterRef("epoch"))
    return Checkpoint.objects.filter(~Exists(row), run__isnull=False, epoch__gt=0).select_related("run")


def _guess(checkpoint: Checkpoint) -> float:
    if base_for(checkpoint.base_model).profile.family == Family.MINIATURE:
        return GUESSED_SECONDS_MINIATURE
    return GUESSED_SECONDS.get(settings.DEVICE, GUESSED_SECONDS["cpu"])
