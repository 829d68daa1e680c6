"""One picture's measures as the console draws them: outlines of its parts and defects, swatches, findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evaluation import metrics
from punklab.pixels.asked import PARTS
from punklab.pixels.outlines import Outline, outlines
from punklab.pixels.report import copy_finding, findings


@dataclass(frozen=True)
class Swatch:
    """A colour asked beside the one observed; hex codes and words may be missing."""

    name: str
    asked_hex: str
    asked_word: str
    observed_hex: str
    observed_word: str
    delta_e: float | None
    matches: bool | None
    confidence: float
    reason: str


@dataclass(frozen=True)
class Measured:
    """A stored dictionary of measures, of the present shape."""

    found: dict[str, Any]

    @cached_property
    def outlines(self) -> list[Outline]:
        """The outline of each part that is there."""
        return outlines(self.found.get("parts", "").splitlines())

    @property
    def defect_cells(self) -> list[tuple[int, int]]:
        """The cells of all defects as (x, y)."""
        return [(column, row) for defect in self.found["defects"] for row, column in defect["cells"]]

    @property
    def defects(self) -> list[str]:
        """The defects in words."""
        return [defect["text"] for defect in self.found["defects"]]

    @property
    def swatches(self) -> list[Swatch]:
        """A swatch for each part, and for each accessory asked for."""
        checks = [(part, self.found[part]) for part in PARTS]
        checks += [(item["phrase"], item) for item in self.found["accessories"]]
        return [_swatch(name, check) for name, check in checks]

    @property
    def findings(self) -> list[str]:
        """What was found, a sentence each."""
        art = self.found["pixel_art"]
        outside = [f"{name.replace('_', ' ')} {place}" for name, place in art["band"].items() if place != "inside"]
        told = [*findings(self.found), art["reason"], f"{art['colours']['merged']} colours that a person tells apart"]
        if outside:
            told.append(f"unlike the collection: {', '.join(outside)}")
        return [*told, copy_finding(self.found["copy"]), *self.found["notes"]]


def measured(measures: Any) -> Measured | None:
    """The measures of a picture to show; None where there are none of the present shape."""
    return Measured(measures) if metrics.is_current(measures) else None


def _swatch(name: str, check: dict[str, Any]) -> Swatch:
    asked = check["asked"] or {}
    return Swatch(
        name=name,
        asked_hex=asked.get("hex") or "",
        asked_word=asked.get("word") or "",
        observed_hex=check["observed"]["hex"] or "",
        observed_word=check["observed"]["word"] or "",
        delta_e=check["delta_e"],
        matches=check["matches"],
        confidence=check["confidence"],
        reason=check["reason"],
    )
