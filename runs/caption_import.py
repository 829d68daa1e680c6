"""Pairs from a folder into a caption version: all of them in one transaction, or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import transaction
from django.utils import timezone

from punklab.pixels.asked import phrases
from punklab.pixels.colour import HEX_CODE
from runs.caption_checks import has_codes
from runs.caption_findings import find_later
from runs.caption_folder import FilePair, read_folder
from runs.caption_pairs import Pair
from runs.caption_words import words_of
from runs.captions import runs_using
from runs.models import Caption, CaptionVersion, TrainingImage

_BATCH = 200
_SHOWN = 20
_JEWELRY = re.compile(
    r"\b(?:earrings?|necklaces?|chain|pendant|crown|tiara|diamonds?|bracelet|pearls?)\b", re.IGNORECASE
)
_DESCRIBED = (
    "num_caption_files",
    "includes_hex_codes",
    "includes_accessories",
    "includes_jewelry",
    "sample_caption",
    "directory_path",
    "created_date",
    "detail_level",
    "format_description",
)
# Median words a caption, colour codes aside; the lab's own captions with codes are all called very detailed.
_DETAIL = ((15, "minimal"), (30, "moderate"))


class CaptionImportError(Exception):
    """Nothing was imported; the message says which files are why, and what to do."""


@dataclass(frozen=True)
class Imported:
    """What an import did to the version and the pictures."""

    captions: int
    added: list[str]
    changed: list[str]
    removed: list[str]
    new_images: int

    @property
    def nothing_new(self) -> bool:
        return not (self.added or self.changed or self.removed)


def import_captions(folder: Path, images: Path | None, name: str, *, replace: bool = False) -> Imported:
    """Bring the pairs of a folder in under a version name; the same pairs again change nothing.

    Raises CaptionImportError when a file is no half of a pair, and, without `replace`, when the version is there with
    other captions, pictures or stems. FolderError when the folder cannot be read.
    """
    if not name.strip():
        raise CaptionImportError("a caption version needs a name")
    read = read_folder(folder, images)
    if read.problems:
        listed = [f"{problem.file}: {problem.detail}" for problem in read.problems]
        raise CaptionImportError(f"nothing was imported; mend these files and import again:\n{_lines(listed)}")
    with transaction.atomic():
        version = _locked(name)
        there = {stem: (sha, text) for stem, sha, text in _present(version)}
        done = _difference(there, read.pairs)
        if done.nothing_new:
            return done
        if there and not replace:
            raise CaptionImportError(_refusal(version, done))
        new_images = _save_images(read.pairs)
        _save_captions(version, read.pairs, done)
        describe(version, folder, [one.pair for one in read.pairs])
        find_later(version)
    return Imported(len(read.pairs), done.added, done.changed, done.removed, new_images)


def _locked(name: str) -> CaptionVersion:
    """The version's row, made if need be, held against a second import until the transaction ends."""
    CaptionVersion.objects.bulk_create([CaptionVersion(version_name=name)], ignore_conflicts=True)
    return CaptionVersion.objects.select_for_update().get(version_name=name)


def _present(version: CaptionVersion) -> list[tuple[str, str, str]]:
    return list(Caption.objects.filter(version=version).values_list("stem", "image__sha256", "text"))


def _difference(there: dict[str, tuple[str, str]], pairs: Sequence[FilePair]) -> Imported:
    here = {one.pair.stem: (one.pair.sha256, one.pair.text) for one in pairs}
    return Imported(
        captions=len(here),
        added=sorted(here.keys() - there.keys()),
        changed=sorted(stem for stem in here.keys() & there.keys() if here[stem] != there[stem]),
        removed=sorted(there.keys() - here.keys()),
        new_images=0,
    )


def _refusal(version: CaptionVersion, done: Imported) -> str:
    used = runs_using(version)
    by_runs = f" Runs trained on it: {', '.join(used)}." if used else ""
    listed = [
        *(f"{stem}: changed" for stem in done.changed),
        *(f"{stem}: new" for stem in done.added),
        *(f"{stem}: no longer there" for stem in done.removed),
    ]
    return (
        f"{version.version_name} is there already with other pairs, and was left as it is.{by_runs} "
        f"Import under a new name, or say --replace:\n{_lines(listed)}"
    )


def _save_images(pairs: Sequence[FilePair]) -> int:
    """Store the pictures that are not there yet, a batch in memory at a time, and say how many were new."""
    wanted = {one.pair.sha256: one for one in pairs}
    known = set(TrainingImage.objects.filter(sha256__in=wanted).values_list("sha256", flat=True))
    missing = [one for sha, one in wanted.items() if sha not in known]
    for start in range(0, len(missing), _BATCH):
        batch = [_image(one) for one in missing[start : start + _BATCH]]
        TrainingImage.objects.bulk_create(batch, ignore_conflicts=True)
    return len(missing)


def _image(one: FilePair) -> TrainingImage:
    data = one.image.read_bytes()
    if hashlib.sha256(data).hexdigest() != one.pair.sha256:
        raise CaptionImportError(
            f"{one.image.name}: changed while it was being imported; nothing was imported, try again"
        )
    return TrainingImage(sha256=one.pair.sha256, png=data, width=one.width, height=one.height)


def _save_captions(version: CaptionVersion, pairs: Sequence[FilePair], done: Imported) -> None:
    gone = [*done.removed, *done.changed]
    Caption.objects.filter(version=version, stem__in=gone).delete()
    fresh = {*done.added, *done.changed}
    hashes = {one.pair.sha256 for one in pairs if one.pair.stem in fresh}
    ids = dict(TrainingImage.objects.filter(sha256__in=hashes).values_list("sha256", "id"))
    Caption.objects.bulk_create(
        [
            Caption(version=version, image_id=ids[one.pair.sha256], stem=one.pair.stem, text=one.pair.text)
            for one in pairs
            if one.pair.stem in fresh
        ],
        batch_size=1000,
    )


def describe(version: CaptionVersion, folder: Path | None, pairs: Sequence[Pair]) -> None:
    """Fill the mirrored columns: what was counted always, what a person may have written only where nothing stands."""
    codes = has_codes(pairs)
    version.num_caption_files = len(pairs)
    version.includes_hex_codes = codes
    version.includes_accessories = any(phrase.worn for pair in pairs for phrase in phrases(pair.text))
    version.includes_jewelry = any(_JEWELRY.search(pair.text) for pair in pairs)
    version.sample_caption = pairs[0].text.strip()
    version.directory_path = version.directory_path or (str(folder.absolute()) if folder else None)
    version.created_date = version.created_date or timezone.now().date()
    version.detail_level = version.detail_level or _detail_level(pairs, codes)
    version.format_description = version.format_description or _format_description(pairs, codes)
    version.save(update_fields=_DESCRIBED)


def _detail_level(pairs: Sequence[Pair], codes: bool) -> str:
    words = median(len(words_of(pair.text)) for pair in pairs)
    if codes:
        return "very_detailed"
    return next((level for most, level in _DETAIL if words <= most), "detailed")


def _format_description(pairs: Sequence[Pair], codes: bool) -> str:
    counts = [len(phrases(pair.text)) for pair in pairs]
    colours = "no colour codes"
    if codes:
        distinct = median(len(set(HEX_CODE.findall(pair.text))) for pair in pairs)
        colours = f"{distinct:.0f} distinct colour codes in the median"
    return f"Phrases between commas, {min(counts)} to {max(counts)} a caption; {colours}"


def _lines(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN
    return "\n".join([f"  {item}" for item in items[:_SHOWN]] + ([f"  and {rest} more"] if rest > 0 else []))
