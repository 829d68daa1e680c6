"""The base model that a row or the settings mean, with the revision and folder that the settings give it."""

from __future__ import annotations

from django.conf import settings

from punklab.diffusion.base import ALIASES, BaseModel, resolve_base


def base_for(name: str | None = None) -> BaseModel:
    """The base model called `name`; None or "" means the one in the settings. Raises BaseError.

    BASE_MODEL_REVISION and BASE_MODEL_FOLDER belong to BASE_MODEL and are used for no other name.
    """
    name = name or settings.BASE_MODEL
    if _plain(name) != _plain(settings.BASE_MODEL):
        return resolve_base(name)
    return resolve_base(name, settings.BASE_MODEL_REVISION or None, settings.BASE_MODEL_FOLDER or None)


def _plain(name: str) -> str:
    return ALIASES.get(name.strip(), name.strip())
