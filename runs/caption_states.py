"""How the captions of a version stand: as the version has them, or as the last step of the work on them left them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runs import caption_findings
from runs.caption_checks import Finding
from runs.caption_findings import Known
from runs.caption_models import CaptionEdit
from runs.models import Caption, CaptionVersion

Status = CaptionEdit.Status


@dataclass(frozen=True, kw_only=True)
class State:
    """How a caption stands: as the version has it (`number` 0), or as the last step of the work on it left it."""

    stem: str
    image_id: int
    original: str
    text: str
    status: str
    corrections: str
    number: int
    by: str
    at: datetime | None
    batch_id: int | None
    edit_findings: Sequence[dict[str, Any]]

    @property
    def is_untouched(self) -> bool:
        """Whether it stands as the version has it, be it after an undo."""
        return self.status == Status.PENDING and not self.is_changed and not self.corrections

    @property
    def is_changed(self) -> bool:
        return self.text != self.original

    @property
    def is_taken(self) -> bool:
        """Whether its text goes into a new version instead of the original."""
        return self.is_changed and self.status in CaptionEdit.TAKEN

    def findings(self, known: Known) -> list[Finding]:
        """What the check found in the text as it stands, and in its picture."""
        if not self.is_changed:
            return known.of(self.stem)
        return [*caption_findings.from_json(self.edit_findings), *known.of_picture(self.stem)]


def states(version: CaptionVersion, stems: Collection[str] | None = None) -> list[State]:
    """How each caption stands, in the order of stems: two queries however many there are."""
    captions = Caption.objects.filter(version=version).order_by("stem")
    edits = _latest(version)
    if stems is not None:
        captions, edits = captions.filter(stem__in=stems), edits.filter(stem__in=stems)
    latest = {edit.stem: edit for edit in edits}
    return [
        _state(stem, image_id, text, latest.get(stem))
        for stem, image_id, text in captions.values_list("stem", "image_id", "text")
    ]


def state_of(version: CaptionVersion, stem: str) -> State | None:
    """How one caption stands; None when the version has none of that stem."""
    return next(iter(states(version, [stem])), None) if "\0" not in stem else None


def counts_of(found: Iterable[State]) -> dict[str, int]:
    """How many captions have each status: the lab's four in their order, then others as they come."""
    counts = Counter(state.status for state in found)
    return {word: counts[word] for word in (*Status.values, *sorted(counts.keys() - set(Status.values)))}


def _latest(version: CaptionVersion) -> Any:
    edits = CaptionEdit.objects.filter(version=version).select_related("by")
    return edits.order_by("stem", "-number").distinct("stem")


def _state(stem: str, image_id: int, original: str, edit: CaptionEdit | None) -> State:
    return State(
        stem=stem,
        image_id=image_id,
        original=original,
        text=edit.text if edit else original,
        status=edit.status if edit else Status.PENDING.value,
        corrections=edit.corrections if edit else "",
        number=edit.number if edit else 0,
        by=edit.by.get_username() if edit else "",
        at=edit.at if edit else None,
        batch_id=edit.batch_id if edit else None,
        edit_findings=edit.findings if edit else [],
    )
