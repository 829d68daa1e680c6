"""To accept a visitor's wish: from choices to a prompt to a queued row."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from deployment import tasks
from deployment.models import Generation, Release
from deployment.traits import WORN, ChoiceError, Choices, Traits
from evaluation.renderjob import Status
from evaluation.requests import request_for

WAITING = (Status.QUEUED, Status.RENDERING)


class GenerationError(Exception):
    """A wish that cannot be taken now; the message is for visitors."""


class NothingLiveError(GenerationError):
    """No release is live."""


class QueueFullError(GenerationError):
    """As many punks wait as the queue may hold."""


def accept(choices: Mapping[str, str], seed: int | None = None) -> Generation:
    """Queue a punk drawn from `choices` (kind to phrase) by the live release; a seed of its own when none is given.

    Raises NothingLiveError, QueueFullError, or ChoiceError for a phrase that is not offered or a seed out of range.
    """
    if seed is None:
        seed = secrets.randbelow(Generation.SEEDS)
    if not 0 <= seed < Generation.SEEDS:
        raise ChoiceError(f"The seed must be from 0 to {Generation.SEEDS - 1}.")
    with transaction.atomic():
        release = _live_release()
        traits = Traits.from_json(release.traits)
        chosen = traits.check(choices)
        if Generation.objects.filter(status__in=WAITING).count() >= settings.GENERATION_QUEUE_LIMIT:
            raise QueueFullError("Very many punks are being drawn right now. Please come back in a minute.")
        prompt = traits.prompt(chosen)
        generation = Generation.objects.create(
            release=release, choices=chosen, prompt=prompt, seed=seed, request=_request(release, prompt, seed)
        )
        async_task(tasks.draw, generation.pk, cluster=settings.VISITORS_CLUSTER)
    return generation


def surprise(traits: Traits, kept: Mapping[str, str]) -> Choices:
    """Choices at random, the `kept` ones as they are; each kind of thing worn comes up in one punk of four."""
    drawn = {
        kind: secrets.choice(options).phrase
        for kind, options in traits.options.items()
        if options and (kind not in WORN or secrets.randbelow(4) == 0)
    }
    return drawn | dict(kept)


def position(generation: Generation) -> int:
    """The place in the queue, 1 for the next to be drawn; 0 when it is being drawn or done."""
    if generation.status != Status.QUEUED:
        return 0
    ahead = Generation.objects.filter(status__in=WAITING, pk__lt=generation.pk)
    return ahead.count() + 1


def _live_release() -> Release:
    """The live release, locked: visitors are taken one after the other, so the queue's limit holds."""
    release = (
        Release.objects.select_for_update(no_key=True, of=("self",))
        .filter(role=Release.Role.LIVE, retired_at=None)
        .select_related("checkpoint")
        .first()
    )
    if release is None:
        raise NothingLiveError("No model is live yet: the lab is still training. Please come back later.")
    return release


def _request(release: Release, prompt: str, seed: int) -> dict[str, object]:
    request = request_for(
        release.checkpoint,
        prompt=prompt,
        negative_prompt=release.negative_prompt,
        seed=seed,
        lora_weight=release.lora_weight,
        size=release.size,
        steps=release.steps,
        guidance=release.guidance,
        scheduler=release.scheduler,
        max_token_length=release.max_token_length,
    )
    found: dict[str, object] = json.loads(request.to_json())
    return found
