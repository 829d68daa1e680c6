"""The base model that a row or the settings mean, with the revision and folder that the settings give it."""

from __future__ import annotations

from django.conf import settings

from punklab.diffusion.base import BaseModel, resolve_base


def base_for(name: str | None = None) -> BaseModel:
    """The base model called `name`; None or "" means the one in the settings. Raises BaseError.

    BASE_MODEL_REVISION and BASE_MODEL_FOLDER belong to BASE_MODEL and are used for no other name.
    """
    name = name or settings.BASE_MODEL
    if resolve_base(name).name != resolve_base(settings.BASE_MODEL).name:
        return resolve_base(name)
    return resolve_base(settings.BASE_MODEL, settings.BASE_MODEL_REVISION or None, settings.BASE_MODEL_FOLDER or None)
