"""Queued rows to pictures on disk: the one way in which test renders and visitors' generations are drawn."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.db.transaction import get_autocommit

from evaluation.renderjob import RenderJob, RenderJobQuerySet, Status
from punklab.diffusion.base import BaseError
from punklab.diffusion.lora import LoraError
from punklab.diffusion.renderer import Rendered, Renderer, RenderError, plan_classes, resident
from punklab.diffusion.request import RenderRequest, RequestError
from punklab.files import write_whole
from runs.bases import base_for

logger = logging.getLogger(__name__)

THEIR_FAULT = (RenderError, LoraError, RequestError)


@dataclass(frozen=True, kw_only=True)
class Asked:
    row: RenderJob
    request: RenderRequest


def render_rows(rows: RenderJobQuerySet[RenderJob], pks: Sequence[int], lora_paths: Mapping[str, Path]) -> list[int]:
    """Claim the rows and draw them in the order of `pks`; return the keys that were drawn.

    Rows of equal settings share batches of the profile's fixed shapes, a lone one is drawn as it asks. A row ends FAILED with a
    sentence when its input is at fault; after a fault of ours it is queued again, and ERRORED after the last attempt.
    `lora_paths` gives each LoRA's file by SHA-256. Draws with no transaction open."""
    won, token = rows.claim(list(pks))
    claimed = rows.in_bulk(won)
    asked = list(_readable((claimed[pk] for pk in pks if pk in claimed), token))
    drawn: list[int] = []
    for (name, _), group in _grouped(asked, lambda each: (each.request.base, each.request.base_hash)).items():
        renderer = _renderer(name, group, token)
        if renderer is None:
            continue
        for some in _grouped(group, lambda each: replace(each.request, batch_class=1).settings()).values():
            for batch in batches(some, renderer):
                drawn += _draw(batch, renderer, lora_paths, token)
    return drawn


def batches(asked: Sequence[Asked], renderer: Renderer) -> Iterator[list[Asked]]:
    """Rows of equal settings, split into the renderer's batch classes; a lone row keeps the class that it asks for."""
    if len(asked) == 1:
        yield list(asked)
        return
    start = 0
    for size in plan_classes(len(asked), renderer.base.profile.batch_classes[renderer.device]):
        yield [Asked(row=each.row, request=_at(each.request, size)) for each in asked[start : start + size]]
        start += size


def _readable(rows: Iterable[RenderJob], token: datetime) -> Iterator[Asked]:
    for row in rows:
        try:
            yield Asked(row=row, request=RenderRequest.from_json(json.dumps(row.request)))
        except RequestError as error:
            row.end(Status.FAILED, token, message=str(error))


def _grouped(asked: Iterable[Asked], key: Any) -> dict[Any, list[Asked]]:
    groups: dict[Any, list[Asked]] = defaultdict(list)
    for each in asked:
        groups[key(each)].append(each)
    return groups


def _renderer(name: str, asked: Sequence[Asked], token: datetime) -> Renderer | None:
    """The resident renderer of the base; None when it cannot be had, which is a fault of this machine."""
    try:
        return resident(base_for(name), settings.DEVICE)
    except BaseError as error:
        message = str(error)
    except Exception as error:
        logger.exception("the base model %s could not be loaded", name)
        message = f"The base model {name} could not be loaded: {error}"
    for each in asked:
        each.row.give_back(token, message)
    return None


def _draw(batch: Sequence[Asked], renderer: Renderer, lora_paths: Mapping[str, Path], token: datetime) -> list[int]:
    """Draw a batch; when it fails, each row by itself, so that one bad row does not take the others with it."""
    try:
        pictures = renderer.render([each.request for each in batch], lora_paths)
    except THEIR_FAULT as error:
        if len(batch) == 1:
            batch[0].row.end(Status.FAILED, token, message=str(error))
            return []
    except Exception as error:
        logger.exception("rendering %s failed", ", ".join(str(each.row.pk) for each in batch))
        if len(batch) == 1:
            batch[0].row.give_back(token, f"{type(error).__name__}: {error}")
            return []
    else:
        if get_autocommit():
            close_old_connections()  # a pooler may have dropped the one that lay idle meanwhile
        return [pk for each, picture in zip(batch, pictures, strict=True) for pk in _keep(each.row, picture, token)]
    alone = [Asked(row=each.row, request=_at(each.request, 1)) for each in batch]
    return [pk for each in alone for pk in _draw([each], renderer, lora_paths, token)]


def _keep(row: RenderJob, picture: Rendered, token: datetime) -> list[int]:
    raw, finished = _places(row, picture.request)
    try:
        write_whole(Path(settings.STORAGE_DIR) / raw, picture.raw_png())
        if picture.finished is not None:
            write_whole(Path(settings.STORAGE_DIR) / finished, picture.finished_png())
    except OSError as error:
        logger.exception("the picture of %s %s could not be written", row._meta.label, row.pk)
        row.give_back(token, f"The picture could not be written to {settings.STORAGE_DIR}: {error.strerror or error}.")
        return []
    kept = row.end(
        Status.RENDERED,
        token,
        request=json.loads(picture.request.to_json()),
        raw=raw,
        finished=finished if picture.finished is not None else "",
        seconds=picture.seconds,
        device=picture.device,
        message="",
    )
    return [row.pk] if kept else []


def _places(row: RenderJob, request: RenderRequest) -> tuple[str, str]:
    folder = f"renders/{row._meta.model_name}/{row.pk // 1000:06d}"
    name = f"{row.pk}-{request.digest()[:12]}"
    return f"{folder}/{name}-raw.png", f"{folder}/{name}-24.png"


def _at(request: RenderRequest, size: int) -> RenderRequest:
    return replace(request, batch_class=size)
