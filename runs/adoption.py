"""Take the lab's past files in: match them to runs and epochs, show the plan, register on a person's word.

The lab's own rows are never changed: what was matched lives in our tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from PIL import Image, UnidentifiedImageError

from punklab.diffusion.base import BaseError
from punklab.diffusion.lora import LoraError, LoraHeader, check_for_base, read_header
from punklab.files import copy_whole, sha256_of
from runs.adoption_files import Found, look_through, plain_stem
from runs.adoption_matching import Belonging, Recorded, belonging
from runs.adoption_pictures import PictureEvidence
from runs.bases import base_for
from runs.checkpoints import CheckpointError, register, weights_sha256
from runs.models import AdoptedPicture, Checkpoint, TrainingRun

MOST_PIXELS = 64_000_000  # a small file may ask for gigabytes


class Decision(StrEnum):
    ADOPT = "adopt"
    KNOWN = "known already"
    AMBIGUOUS = "ambiguous"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Match:
    """One file of the folder and what would be done with it."""

    path: Path
    decision: Decision
    reason: str
    is_picture: bool = False
    run: TrainingRun | None = None
    epoch: int | None = None
    sha256: str = ""
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Records:
    """What the lab's rows record of files; whoever can read those rows gives it."""

    checkpoints: Sequence[Recorded] = ()
    pictures: Sequence[Recorded] = ()
    folders: Sequence[Recorded] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All files with a connection to the lab; `unrelated` counts pictures without one."""

    folder: Path
    matches: list[Match] = field(default_factory=list)
    unrelated: int = 0

    @property
    def to_adopt(self) -> list[Match]:
        return [match for match in self.matches if match.decision is Decision.ADOPT]


def plan_adoption(folder: Path, records: Records, only: TrainingRun | None = None) -> Plan:
    """Match every LoRA and picture below `folder`; changes nothing. Raises FolderError.

    `only` is the run that a person says all the LoRAs are of.
    """
    found = look_through(folder)
    runs = list(TrainingRun.objects.all())
    loras = _settled([_lora_match(path, runs, records, only) for path in found.loras])
    pictures = list(_picture_matches(found, runs, records, loras))
    refused = [Match(path=path, decision=Decision.REFUSED, reason=reason) for path, reason in found.refused]
    return Plan(
        folder=found.folder,
        matches=[*loras, *pictures, *refused],
        unrelated=len(found.pictures) - len(pictures),
    )


def adopt(plan: Plan) -> list[str]:
    """Register what the plan would adopt; return a sentence for each file that could not be. Safe to repeat."""
    return [f"{match.path}: {problem}" for match in plan.to_adopt if (problem := _adopt(match))]


def _adopt(match: Match) -> str:
    assert match.run
    assert match.epoch
    try:
        if match.is_picture:
            _keep_picture(match, match.run, match.epoch)
        else:
            register(
                match.path,
                run=match.run,
                epoch=match.epoch,
                source=Checkpoint.Source.ADOPTED,
                base=base_for(match.run.base_model),
            )
    except (CheckpointError, OSError) as error:
        return str(error)
    return ""


def _keep_picture(match: Match, run: TrainingRun, epoch: int) -> None:
    name = f"adopted/{match.sha256}{match.path.suffix.lower()}"
    copy_whole(match.path, Path(settings.STORAGE_DIR) / name, match.sha256)
    with Image.open(match.path) as image:
        width, height = image.size
    try:
        with transaction.atomic():
            AdoptedPicture.objects.create(
                run=run,
                epoch=epoch,
                file=name,
                original_name=match.path.name[:500],
                sha256=match.sha256,
                width=width,
                height=height,
                reason=match.reason,
            )
    except IntegrityError:  # another process was faster
        return


def _lora_match(path: Path, runs: Sequence[TrainingRun], records: Records, only: TrainingRun | None) -> Match:
    try:
        header = read_header(path)
    except LoraError as error:
        return Match(path=path, decision=Decision.REFUSED, reason=str(error))
    known = Checkpoint.objects.filter(sha256=header.sha256).select_related("run").first()
    if known:
        return _match(path, header, Decision.KNOWN, f"registered as {known}", known.run, known.epoch)
    found = belonging(path, header, runs, records.checkpoints, only)
    if found.run is None:
        return _match(path, header, Decision.AMBIGUOUS, found.reason)
    try:
        check_for_base(header, base_for(found.run.base_model))
    except (LoraError, BaseError) as error:
        return _match(path, header, Decision.REFUSED, str(error), found.run, found.epoch)
    return _match(path, header, Decision.ADOPT, found.reason, found.run, found.epoch)


def _match(
    path: Path,
    header: LoraHeader,
    decision: Decision,
    reason: str,
    run: TrainingRun | None = None,
    epoch: int | None = None,
) -> Match:
    weights = weights_sha256(path)
    return Match(
        path=path, decision=decision, reason=reason, run=run, epoch=epoch, sha256=header.sha256, weights=weights
    )


def _settled(matches: list[Match]) -> list[Match]:
    """Copies of one file become one; different files for one epoch, none."""
    by_epoch: defaultdict[tuple[int, int | None], list[Match]] = defaultdict(list)
    for match in sorted(matches, key=lambda each: (len(each.path.name), str(each.path))):
        if match.decision is Decision.ADOPT and match.run:
            by_epoch[match.run.pk, match.epoch].append(match)
    changed: dict[Path, Match] = {}
    for (run_id, epoch), group in by_epoch.items():
        there = Checkpoint.objects.filter(run=run_id, epoch=epoch).first()
        for match in group:
            settled = _against_known(match, there) if there else _against_others(match, group)
            changed[match.path] = settled
    return [changed.get(match.path, match) for match in matches]


def _against_known(match: Match, there: Checkpoint) -> Match:
    if there.header.get("weights_sha256") == match.weights:
        return replace(match, decision=Decision.KNOWN, reason=f"the weights of {there}, saved at another time")
    return replace(
        match, decision=Decision.REFUSED, reason=f"{there} is registered with other weights, and never changes"
    )


def _against_others(match: Match, group: Sequence[Match]) -> Match:
    others = Counter(each.weights for each in group)
    if len(others) > 1:
        names = ", ".join(sorted(each.path.name for each in group if each is not match))
        return replace(match, decision=Decision.AMBIGUOUS, reason=f"{names} would be the same epoch with other weights")
    if match is not group[0]:
        return replace(match, decision=Decision.KNOWN, reason=f"a copy of {group[0].path.name}")
    return match


def _picture_matches(
    found: Found, runs: Sequence[TrainingRun], records: Records, loras: Sequence[Match]
) -> Iterator[Match]:
    evidence = PictureEvidence(
        runs=runs, pictures=records.pictures, folders=records.folders, checkpoints=_stems_of(loras)
    )
    seen: dict[tuple[int, int, str], Path] = {}
    for path in found.pictures:
        whose = evidence.belonging(path)
        if whose:
            yield _picture_match(path, whose, seen)


def _picture_match(path: Path, whose: Belonging, seen: dict[tuple[int, int, str], Path]) -> Match:
    match = Match(path=path, is_picture=True, decision=Decision.AMBIGUOUS, reason=whose.reason)
    if whose.run is None or whose.epoch is None:
        return match
    problem = _picture_problem(path)
    if problem:
        return replace(match, decision=Decision.REFUSED, reason=problem)
    sha256 = sha256_of(path)
    match = replace(match, decision=Decision.ADOPT, run=whose.run, epoch=whose.epoch, sha256=sha256)
    first = seen.setdefault((whose.run.pk, whose.epoch, sha256), path)
    if AdoptedPicture.objects.filter(run=whose.run, epoch=whose.epoch, sha256=sha256).exists():
        return replace(match, decision=Decision.KNOWN, reason="adopted already")
    if first is not path:
        return replace(match, decision=Decision.KNOWN, reason=f"a copy of {first.name}")
    return match


def _picture_problem(path: Path) -> str:
    """Why a file is no picture that could be shown; empty when it is one."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return f"{image.width}x{image.height} pixels are too many"
            if getattr(image, "is_animated", False):
                return "is animated"
            image.load()
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"cannot be read as a picture ({error})"
    return ""


def _stems_of(loras: Sequence[Match]) -> dict[str, set[tuple[int, int]]]:
    stems: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for name, run_id, epoch in Checkpoint.objects.exclude(run=None).values_list("original_name", "run_id", "epoch"):
        if run_id and epoch:
            stems[plain_stem(Path(name))].add((run_id, epoch))
    for number, match in enumerate(loras):
        if match.decision is Decision.ADOPT and match.run and match.epoch:
            stems[plain_stem(match.path)].add((match.run.pk, match.epoch))
        elif match.decision is Decision.AMBIGUOUS:  # a picture of that name may be of this one
            stems[plain_stem(match.path)].add((0, number))
    return dict(stems)
