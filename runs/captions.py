"""A caption version as the database keeps it: its pairs, what runs used it, and writing it back to a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import TextField, Value
from django.db.models.functions import MD5, Concat

from punklab.pixels.grid import enlarge
from runs.caption_pairs import Pair, PairError, Picture, Problem, read_picture
from runs.models import Caption, CaptionVersion, TrainingRun

_BATCH = 200


class CaptionVersionError(Exception):
    """A caption version that is not there, or whose captions cannot be read or written."""


def find_version(name: str) -> CaptionVersion:
    """The caption version of that name. Raises CaptionVersionError naming those that exist."""
    version = CaptionVersion.objects.filter(version_name=name).first()
    if version is None:
        known = ", ".join(CaptionVersion.objects.values_list("version_name", flat=True)) or "none yet"
        raise CaptionVersionError(f"no caption version is called {name!r}; there are: {known}")
    return version


def load_pairs(version: CaptionVersion, damaged: list[Problem] | None = None) -> list[Pair]:
    """The version's pairs in the order of their stems, each picture decoded once.

    Raises CaptionVersionError when the row is known but its captions were never imported, and PairError for a picture
    that some script damaged; with a list `damaged` it goes there, and its pair has no cells.
    """
    pictures: dict[str, Picture | PairError] = {}
    pairs: list[Pair] = []
    captions = _captions(version)
    # Decoding releases the interpreter, so threads share it out over the cores, a batch in memory at a time.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        while batch := list(islice(captions, _BATCH)):
            fresh = {each.image.sha256: bytes(each.image.png) for each in batch if each.image.sha256 not in pictures}
            pictures.update(zip(fresh, pool.map(_read, fresh.values()), strict=True))
            pairs += [_pair(each, pictures[each.image.sha256], damaged) for each in batch]
    if not pairs:
        raise CaptionVersionError(
            f"{version.version_name}: its captions are not in this database; import them with import_captions"
        )
    return pairs


def contents_of(version: CaptionVersion) -> str | None:
    """A line for each pair that differs where its picture or text does; None for a version without captions."""
    found: str | None = Caption.objects.filter(version=version).aggregate(
        all=StringAgg(
            Concat("stem", Value(":"), "image__sha256", Value(":"), MD5("text"), output_field=TextField()),
            delimiter="\n",
            order_by="stem",
        )
    )["all"]
    return found


def runs_using(version: CaptionVersion) -> list[str]:
    """The names of the runs trained on this version, as the row remembers them and as the runs' own rows say."""
    remembered = version.used_in_training_runs or []
    named = TrainingRun.objects.filter(caption_version=version.version_name).order_by("run_date", "id")
    return list(dict.fromkeys([*remembered, *named.values_list("run_name", flat=True)]))


def export_captions(version: CaptionVersion, folder: Path, factor: int | None = None) -> int:
    """Write the version's pairs into a new folder and say how many; texts are byte for byte those imported.

    Pictures are the imported files, or with `factor` their 24x24 cells enlarged by it. The folder appears whole or not
    at all. Raises FileExistsError when it is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: is there already and not empty; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        count = _write_pairs(version, draft, factor)
        draft.chmod(0o755)
        draft.replace(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return count


def _read(data: bytes) -> Picture | PairError:
    try:
        return read_picture(data)
    except PairError as error:
        return error


def _pair(caption: Caption, picture: Picture | PairError, damaged: list[Problem] | None) -> Pair:
    if isinstance(picture, Picture):
        return Pair(caption.stem, caption.text, picture.cells, caption.image.sha256)
    if damaged is None:
        raise picture
    damaged.append(Problem(f"{caption.stem}.png", "unreadable", f"the picture {picture}"))
    return Pair(caption.stem, caption.text)


def _write_pairs(version: CaptionVersion, folder: Path, factor: int | None) -> int:
    count = 0
    for caption in _captions(version):
        if Path(caption.stem).name != caption.stem:
            raise CaptionVersionError(f"{version.version_name}: {caption.stem!r} is no file name; nothing was written")
        _write(folder / f"{caption.stem}.txt", caption.text.encode())
        data = bytes(caption.image.png)
        image = folder / f"{caption.stem}.png"
        if factor is None:
            _write(image, data)
        else:
            enlarge(read_picture(data).cells, factor).save(image)
        count += 1
    if not count:
        raise CaptionVersionError(f"{version.version_name}: its captions are not in this database; nothing to export")
    return count


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _captions(version: CaptionVersion) -> Iterator[Caption]:
    captions = Caption.objects.filter(version=version).select_related("image").order_by("stem")
    return captions.iterator(chunk_size=_BATCH)
