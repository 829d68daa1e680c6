"""System checks of the settings for RunPod. What RunPod itself says of them only asking it tells; no secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name for it

VOLUME = '[{"id": "agv6w2qcg7", "data_center": "EU-RO-1"}]'
S3_KEYS = "Make an S3 API key in RunPod's console under Settings, S3 API Keys: its access key begins with user_."
API_KEYS = "Make a restricted key in RunPod's console under Settings, API Keys."
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@register()
def runpod_settings(**_: Any) -> list[CheckMessage]:
    """What is malformed, before anything is rented with it; and what is missing beside a key that is set."""
    return [*_addresses(), *_keys(), *_volumes(), *_machines(), *_missing()]


def _addresses() -> Iterator[CheckMessage]:
    if not _is_private(url := settings.RUNPOD_API_URL):
        yield _error(f"RUNPOD_API_URL {url!r} is no https address.", "Leave it out: it is https://api.runpod.io/v2.", 6)
    elif not url.rstrip("/").endswith("/v2"):
        yield _error(f"RUNPOD_API_URL {url!r} does not end in /v2.", "punklab speaks REST version 2 alone.", 6)
    template = settings.RUNPOD_S3_ENDPOINT
    try:
        endpoint = template.format(dc="eu-ro-1")
    except (KeyError, IndexError, ValueError):
        endpoint = ""
    if not _is_private(endpoint) or ("{dc}" not in template and urlsplit(endpoint).hostname not in LOOPBACK):
        yield _error(
            f"RUNPOD_S3_ENDPOINT {template!r} is no https address with {{dc}} for the data centre.",
            "Leave it out: it is https://s3api-{dc}.runpod.io/.",
            7,
        )


def _keys() -> Iterator[CheckMessage]:
    key, access, secret = settings.RUNPOD_API_KEY, settings.RUNPOD_S3_ACCESS_KEY, settings.RUNPOD_S3_SECRET_KEY
    named = {"RUNPOD_API_KEY": key, "RUNPOD_S3_ACCESS_KEY": access, "RUNPOD_S3_SECRET_KEY": secret}
    for name, value in named.items():
        if value and re.search(r"[^!-~]", value):
            hint = "Copy it once more, without quotes or spaces."
            yield _error(f"{name} has a sign in it that no key has (a space, a line's end, an umlaut).", hint, 8)
    if key.startswith(("user_", "rps_")):
        yield _error("RUNPOD_API_KEY holds an S3 key.", API_KEYS, 8)
    if access.startswith("rps_") or secret.startswith("user_"):
        yield _error("RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY are the wrong way round.", S3_KEYS, 8)
    if bool(access) != bool(secret):
        lacks = "RUNPOD_S3_SECRET_KEY" if access else "RUNPOD_S3_ACCESS_KEY"
        yield _error(f"{lacks} is not set, and its other half is.", S3_KEYS, 8)


def _volumes() -> Iterator[CheckMessage]:
    volumes = settings.RUNPOD_VOLUMES
    if not isinstance(volumes, list) or not all(map(_is_volume, volumes)):
        yield _error(f"RUNPOD_VOLUMES {volumes!r} is no list of volumes.", f"It looks like {VOLUME}.", 9)
        return
    ids = [volume["id"] for volume in volumes]
    for each in sorted({name for name in ids if ids.count(name) > 1}):
        yield _error(f"RUNPOD_VOLUMES names {each!r} twice.", "Name each volume once, with its own data centre.", 9)


def _machines() -> Iterator[CheckMessage]:
    gpus, image = settings.RUNPOD_GPUS, settings.RUNPOD_IMAGE
    if not gpus or not all(gpus):
        hint = "Name GPUs as RunPod does, separated by commas: NVIDIA GeForce RTX 4090,NVIDIA RTX A5000."
        yield _error(f"RUNPOD_GPUS {','.join(gpus)!r} has an empty name in it, or none.", hint, 10)
    tag = image.rpartition("/")[2].partition(":")[2]
    if not tag or re.search(r"\s", image) or tag == "latest":
        hint = "Name a tag, or a digest, that stays what it is: runpod/pytorch:2.8.0-..."
        yield _error(f"RUNPOD_IMAGE {image!r} does not say which image it is.", hint, 11)
    for name in ("RUNPOD_DISK_GB", "RUNPOD_NEED_BYTES", "RUNPOD_MAX_HOURS"):
        if (value := getattr(settings, name)) <= 0:
            yield _error(f"{name} is {value}.", "Set it above 0, or leave it out.", 12)


def _missing() -> Iterator[CheckMessage]:
    if not settings.RUNPOD_API_KEY:
        return
    for name, hint in (
        ("RUNPOD_S3_ACCESS_KEY", S3_KEYS),
        ("RUNPOD_VOLUMES", f"Make a network volume in RunPod's console under Storage and name it: {VOLUME}."),
    ):
        if not getattr(settings, name):
            yield Warning(
                f"RUNPOD_API_KEY is set and {name} is not: nothing can be rented.", hint=hint, id="punklab.W001"
            )


def _is_private(url: str) -> bool:
    """Whether what is sent there cannot be read on the way."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _is_volume(volume: object) -> bool:
    return isinstance(volume, dict) and all(
        isinstance(volume.get(name), str) and volume[name].strip() for name in ("id", "data_center")
    )


def _error(message: str, hint: str, number: int) -> Error:
    return Error(message, hint=hint, id=f"punklab.E{number:03}")
