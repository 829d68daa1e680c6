"""Puts a release live: the former one retires and the new one begins in one transaction."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployment.models import Release
from deployment.traits import Traits
from punklab.diffusion.request import RenderRequest
from runs.models import CaptionVersion, Checkpoint


class ReleaseError(Exception):
    """The release cannot go live; the message says why and what to do."""


def put_live(release: Release) -> Release:
    """Retire what is live and save `release` in its place; return it.

    The database allows one live release per role, so of two at once the slower one gets a ReleaseError and changes
    nothing: its surrounding transaction is rolled back.
    """
    now = timezone.now()
    release.role = Release.Role.LIVE
    release.released_at = now
    try:
        with transaction.atomic():
            Release.objects.filter(role=Release.Role.LIVE, retired_at=None).update(retired_at=now)
            release.save(force_insert=True)
    except IntegrityError as error:
        if "punklab_one_release_per_role" not in str(error):
            raise
        raise ReleaseError("Another release went live at this very moment. Look at it, then promote again.") from error
    return release


def drawn_like(request: RenderRequest, checkpoint: Checkpoint, words: CaptionVersion, traits: Traits) -> Release:
    """An unsaved release of `checkpoint` that draws with the settings of `request`: what was judged is what is served."""
    return Release(
        checkpoint=checkpoint,
        caption_version=words,
        lora_weight=request.lora_weight,
        steps=request.steps,
        guidance=request.guidance,
        scheduler=request.scheduler,
        size=request.width,
        max_token_length=request.max_token_length,
        negative_prompt=request.negative_prompt,
        traits=traits.to_json(),
    )
