"""Many pictures measured by several processes at once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from punklab.pixels.collection import Collection
from punklab.pixels.measures import measure
from punklab.pixels.reading import PictureError, read_picture

ALONE = 16  # so few pictures are measured here: a process takes longer to start
_CHUNK = 8
_PER_PROCESS = 64  # pictures under way at a time, so that a long list needs no more memory than a short one

_collection: Collection | None = None


@dataclass(frozen=True)
class Job:
    """A picture's file and the prompt it was drawn from, None where it is not known."""

    path: Path
    prompt: str | None = None


def measure_files(
    jobs: Iterable[Job], collection: Collection, processes: int | None = None
) -> Iterator[dict[str, Any]]:
    """For each job in order its measures, with the part of each cell in `parts`, or {"error": why not}.

    `processes` None takes one a core."""
    pending = iter(jobs)
    first = list(islice(pending, ALONE + 1))
    wanted = processes or os.cpu_count() or 1
    if len(first) <= ALONE or wanted == 1:
        yield from (_measured(job, collection) for job in chain(first, pending))
        return
    # Not forked: a fork would share the parent's database connection and its numeric threads' locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(wanted, context, _start, (collection.to_bytes(), len(collection.names))) as pool:
        left = chain(first, pending)
        while some := list(islice(left, _PER_PROCESS * wanted)):
            yield from pool.map(_work, some, chunksize=_CHUNK)


def _start(data: bytes, n_pictures: int) -> None:
    global _collection
    threadpool_limits(1)  # a core each: threads of matrix products would take them from one another
    _collection = Collection.from_bytes(data)
    if n_pictures:
        _ = _collection.copies.threshold


def _work(job: Job) -> dict[str, Any]:
    assert _collection is not None
    return _measured(job, _collection)


def _measured(job: Job, collection: Collection) -> dict[str, Any]:
    try:
        image, notes = read_picture(job.path)
    except PictureError as error:
        return {"error": str(error)}
    found = measure(image, job.prompt, collection)
    told = found.to_json()
    return {**told, "parts": found.labels(), "notes": [*notes, *told["notes"]]}
