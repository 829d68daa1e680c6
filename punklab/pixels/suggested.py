"""Scores that measures alone would give a picture, by a plain rule, each with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from punklab.pixels.asked import PARTS
from punklab.pixels.checks import Checks
from punklab.pixels.collection import Band
from punklab.pixels.defects import Defect
from punklab.pixels.report import accessory_finding, finding

# Measures look at colours and the raster, not at beauty: the rest up to 10 is for people to give.
MOST = 8
_NOT_PIXEL_ART = 2
_TIGHT = 0.8
_OFF, _UNMET = 3, 2
_NAMES = {"colours": "colours a person tells apart", "isolated_share": "lone cells", "outline_share": "outline"}


@dataclass(frozen=True)
class Suggested:
    """Scores from 0 to 8 that the measures alone would give, and why; a score is None where nothing speaks for one."""

    visual: int
    style: int
    prompt: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a suggestion rests on; `places` says for each band whether the picture lies inside, below or above it."""

    pixel_art: bool | None
    why_not: str
    lattice: float | None
    places: Mapping[str, str]
    values: Mapping[str, float]
    bands: Mapping[str, Band]
    checks: Checks
    defects: Sequence[Defect]
    is_copy: bool


def suggest(seen: Seen) -> Suggested:
    """Each score begins at 8.

    Visual: 0 without a face, 3 off for a background that is not solid, 2 for more colours than the collection's band, 1 for more lone
    cells, 1 for each kind of defect. Style: 2 in all where it is no pixel art; else 2 off for a copy, 1 for each band
    left, 1 for a loose raster. Prompt: the mean over what can be judged, 8 for each thing met and 2 for each missed,
    the background counted twice: it is most of the picture.
    """
    visual, visual_reasons = _visual(seen)
    style, style_reasons = _style(seen)
    prompt, prompt_reasons = _prompt(seen)
    return Suggested(visual, style, prompt, (*visual_reasons, *style_reasons, *prompt_reasons))


def _visual(seen: Seen) -> tuple[int, list[str]]:
    lost, reasons = 0, []
    if seen.checks.skin.observed["hex"] is None:
        return 0, ["no face is seen"]
    if not seen.checks.background.solid:
        lost += _OFF
        reasons.append(
            f"the background is not solid: {seen.checks.background.solid_share:.0%} of it has its main colour"
        )
    if seen.places["colours"] == "above":
        lost += 2
        reasons.append(_outside("colours", seen))
    if seen.places["isolated_share"] == "above":
        lost += 1
        reasons.append(_outside("isolated_share", seen))
    for defect in seen.defects:
        lost += 1
        reasons.append(defect.text)
    return max(0, MOST - lost), reasons


def _style(seen: Seen) -> tuple[int, list[str]]:
    if seen.pixel_art is False:
        return _NOT_PIXEL_ART, [seen.why_not]
    lost, reasons = 0, []
    if seen.is_copy:
        lost += 2
        reasons.append("a copy of a training image")
    for name, place in seen.places.items():
        if place != "inside":
            lost += 1
            if (name, place) not in (("colours", "above"), ("isolated_share", "above")):  # said already
                reasons.append(_outside(name, seen))
    if seen.lattice is not None and seen.lattice < _TIGHT:
        lost += 1
        reasons.append(f"the raster fits loosely: lattice score {seen.lattice:.2f}")
    return max(0, MOST - lost), reasons


def _prompt(seen: Seen) -> tuple[int | None, list[str]]:
    points, reasons = [], []
    for part in PARTS:
        check = getattr(seen.checks, part)
        if check.matches is None:
            continue
        points += [MOST if check.matches else _UNMET] * (2 if part == "background" else 1)
        reasons.append(finding(part, check.to_json()))
    for item in seen.checks.accessories:
        if item.matches is not None:
            points.append(MOST if item.matches else _UNMET)
            reasons.append(accessory_finding(item.to_json()))
    return (round(sum(points) / len(points)) if points else None), reasons


def _outside(name: str, seen: Seen) -> str:
    band, value = seen.bands[name], seen.values[name]
    told = (
        f"{value:.0f}, {band.low:.0f} to {band.high:.0f}"
        if name == "colours"
        else f"{value:.0%}, {band.low:.0%} to {band.high:.0%}"
    )
    return f"unlike the collection: {_NAMES[name]} {told} in it"
