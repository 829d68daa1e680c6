"""What is measured of one picture against one prompt: the first, simple set.

Everything here looks at colours and at the raster. It cannot see whether a face is well drawn, so a suggested score
never passes `MOST_SUGGESTED`: the rest is for people to give.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.pixels.asked import Asked, asked
from punklab.pixels.colour import ciede2000, colour_word, format_hex, parse_hex, passes_for, to_lab, word_prototypes
from punklab.pixels.finish import MOST, NEAR, group, palette_of
from punklab.pixels.grid import ON_GRID, lattice_score, sample
from punklab.pixels.regions import largest_colour, regions

SOLID_SHARE = 0.9
MOST_SUGGESTED = 8
# A code without a word asks for this very colour; within about 15 two colours still go by one name.
_CODE_REACH = 15.0
# A code beside a word is met when the colour is almost the same, whatever the word says.
_CODE_MET = 10.0
# Real punks have 9 to 27 colours that people tell apart; a picture far outside is not drawn in their manner.
_FEWEST, _FAR_TOO_MANY = 6, 2 * MOST
# Strands of one head of hair; shades, so wider than what the finish merges.
_HAIR_SHADES = 12.0
_MAJORITY = 2 / 3
_TIGHT = 0.8


@dataclass(frozen=True)
class ColourCheck:
    """One part's colour as seen against the colour asked; `matches` is None when nothing was asked or seen."""

    asked_word: str | None
    asked_hex: str | None
    observed_word: str | None
    observed_hex: str | None
    delta_e: float | None
    matches: bool | None


@dataclass(frozen=True)
class Suggested:
    """Scores from 0 to 8 that the measures alone would give, and why; a score is None where nothing speaks for one."""

    visual: int
    style: int
    prompt: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Measures:
    """Measures of one picture: colour differences in CIEDE2000, shares 0 to 1, lattice -1 to 1 (None below 96 pixels)."""

    background: ColourCheck
    hair: ColourCheck
    background_solid_share: float
    background_is_solid: bool
    colours_raw: int
    colours_merged: int
    lattice: float | None
    is_pixel_art: bool
    suggested: Suggested

    def to_json(self) -> dict[str, Any]:
        """The same as plain dictionaries, lists, numbers and strings."""
        return {**asdict(self), "suggested": {**asdict(self.suggested), "reasons": list(self.suggested.reasons)}}


def measure(cells_image: Image.Image | NDArray[np.uint8], raw_image: Image.Image, prompt: str) -> Measures:
    """Measures of a picture against its prompt.

    Colours and regions are read from the 24x24 cells that people see, the lattice and the raw colour count from the
    picture as rendered. Raises ValueError when the cells are no small RGB raster.
    """
    cells = np.asarray(cells_image.convert("RGB") if isinstance(cells_image, Image.Image) else cells_image)
    if cells.ndim != 3 or max(cells.shape[:2]) > 64:
        raise ValueError(f"measures read the 24x24 cells, not an array of shape {cells.shape}")
    found, wanted = regions(cells), asked(prompt)
    _, solid_share = largest_colour(cells, found.background)
    colours, _, counts = palette_of(cells)
    merged = len(np.unique(group(to_lab(colours), counts, NEAR)))
    lattice = lattice_score(raw_image)
    background = check_colour(cells, found.background, wanted.get("background"), majority=_MAJORITY)
    hair = check_colour(cells, found.hair, wanted.get("hair"), near=_HAIR_SHADES)
    pixel_art = (lattice is None or lattice > ON_GRID) and merged <= _FAR_TOO_MANY
    return Measures(
        background=background,
        hair=hair,
        background_solid_share=round(solid_share, 3),
        background_is_solid=solid_share >= SOLID_SHARE,
        colours_raw=_raw_colours(raw_image, cells),
        colours_merged=merged,
        lattice=None if lattice is None else round(lattice, 3),
        is_pixel_art=pixel_art,
        suggested=suggest(solid_share, merged, lattice, pixel_art, {"background": background, "hair": hair}),
    )


def check_colour(
    cells: NDArray[np.uint8], mask: NDArray[np.bool_], wanted: Asked | None, near: float = NEAR, majority: float = 0.0
) -> ColourCheck:
    """The main colour inside the mask, shades nearer than `near` together, against what was asked.

    It matches when the main colour does and at least `majority` of the cells do.
    """
    word, code = (wanted.word, wanted.code) if wanted else (None, None)
    if not mask.any():
        return ColourCheck(word, code, None, None, None, None)
    main, _ = largest_colour(cells, mask, near)
    matches = meets(main, wanted) if wanted else None
    if matches and wanted and majority:
        matches = _meeting_share(cells, mask, wanted) >= majority
    difference = _difference(main, wanted) if wanted else None
    return ColourCheck(word, code, colour_word(main), format_hex(main), difference, matches)


def meets(rgb: NDArray[np.uint8], wanted: Asked) -> bool | None:
    """Whether a colour is what was asked: it passes for one of the words or nearly is the code; None without either."""
    distance = float(ciede2000(to_lab(rgb), to_lab(parse_hex(wanted.code)))) if wanted.code else None
    if wanted.words:
        return any(passes_for(rgb, word) for word in wanted.words) or (distance is not None and distance <= _CODE_MET)
    return None if distance is None else distance <= _CODE_REACH


def suggest(
    solid_share: float, merged: int, lattice: float | None, pixel_art: bool, checks: dict[str, ColourCheck]
) -> Suggested:
    """Scores by a plain rule: 8 to start with, points off for each fault found.

    Visual: 3 off for a background that is not solid, 2 for more colours than real punks have, 1 for fewer. Style: 2
    where the picture is no pixel art at all, else 2 off for too many colours, 1 for a loose raster. Prompt: 8 for each
    colour met and 3 for each missed, the mean rounded down.
    """
    faults = _faults(solid_share, merged, lattice)
    visual = MOST_SUGGESTED - sum(points for points, _ in faults.values())
    style = MOST_SUGGESTED - sum(faults[name][0] for name in ("many", "loose") if name in faults) if pixel_art else 2
    judged = {part: check for part, check in checks.items() if check.matches is not None}
    scores = [MOST_SUGGESTED if check.matches else 3 for check in judged.values()]
    reasons = [sentence for _, sentence in faults.values()]
    if not pixel_art:
        reasons.append("not pixel art: no raster of 24 cells, or far too many colours")
    reasons += [_colour_reason(part, check) for part, check in judged.items()]
    return Suggested(visual, style, sum(scores) // len(scores) if scores else None, tuple(reasons))


def _faults(solid_share: float, merged: int, lattice: float | None) -> dict[str, tuple[int, str]]:
    faults = {}
    if solid_share < SOLID_SHARE:
        faults["background"] = (3, f"the background is not solid: {solid_share:.0%} of it has its main colour")
    if merged > MOST:
        faults["many"] = (2, f"{merged} colours after merging; real punks have at most {MOST}")
    if merged < _FEWEST:
        faults["few"] = (1, f"only {merged} colours")
    if lattice is not None and lattice < _TIGHT:
        faults["loose"] = (1, f"the raster fits loosely: lattice score {lattice:.2f}")
    return faults


def _colour_reason(part: str, check: ColourCheck) -> str:
    wanted = " ".join(text for text in (check.asked_word, check.asked_hex) if text)
    verb = "matches" if check.matches else "does not match"
    return f"{part} {check.observed_word} {check.observed_hex} {verb} the asked {wanted}"


def _difference(rgb: NDArray[np.uint8], wanted: Asked) -> float | None:
    prototypes = [rgb for word in wanted.words for rgb in word_prototypes(word)]
    targets = [parse_hex(wanted.code)] if wanted.code else prototypes
    return round(float(ciede2000(to_lab(rgb), to_lab(targets)).min()), 1) if targets else None


def _meeting_share(cells: NDArray[np.uint8], mask: NDArray[np.bool_], wanted: Asked) -> float:
    colours, which, counts = palette_of(cells[mask][None])
    areas = np.bincount(group(to_lab(colours), counts, NEAR)[which].ravel(), minlength=len(colours))
    met = sum(int(area) for colour, area in zip(colours, areas, strict=True) if area and meets(colour, wanted))
    return float(met / areas.sum())


def _raw_colours(raw_image: Image.Image, cells: NDArray[np.uint8]) -> int:
    """Distinct colours of the cells as rendered, before any merging."""
    fits = raw_image.width >= cells.shape[1] and raw_image.height >= cells.shape[0]
    rendered = sample(raw_image, cells.shape[1], cells.shape[0]) if fits else cells
    return len(palette_of(rendered)[0])
