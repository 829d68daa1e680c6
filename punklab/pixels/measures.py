"""What is measured of one picture: its raster, its colours, its parts against a prompt, its defects, its originals.

`measure` is all of it; the dictionary that it gives is documented in docs/judging.md and carries a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.pixels import asked as prompts
from punklab.pixels.checks import AccessoryCheck, BackgroundCheck, ColourCheck, HairCheck, check
from punklab.pixels.collection import BANDS, Collection, isolated_share, outline_share, shipped
from punklab.pixels.defects import Defect, find_defects
from punklab.pixels.grid import SIDE, flatten, sample_pixels
from punklab.pixels.lattice import Lattice, lattice_of
from punklab.pixels.palette import Palette, merged_palette
from punklab.pixels.portrait import PARTS, scene_of
from punklab.pixels.prior import Reading
from punklab.pixels.suggested import Seen, Suggested, suggest

VERSION = 2
# Below 48 pixels no raster can be measured: a picture with more colours than any drawn punk has was not drawn.
_MOST_DRAWN_COLOURS = 150
# A photograph is uneven inside most cells of any raster and has a colour of its own in most.
_PHOTO_UNEVEN, _PHOTO_COLOURS = 0.55, 250


@dataclass(frozen=True, kw_only=True)
class PixelArt:
    """Whether a picture is pixel art of 24x24 cells; None where it shows nothing that could tell. `why` is a sentence.

    `colours_raw` and `colours_merged` count the cells' colours, all and those that a person tells apart; `bands` says
    for each of `BANDS` whether the picture lies inside, below or above what the collection has.
    """

    is_pixel_art: bool | None
    why: str
    lattice: Lattice | None
    colours_raw: int
    colours_merged: int
    isolated_share: float
    outline_share: float
    bands: dict[str, str]
    photorealistic: bool


@dataclass(frozen=True, kw_only=True)
class CopyCheck:
    """The nearest training image, its `distance` (root mean square in OKLab), and the threshold below which it is a copy."""

    nearest: str | None
    distance: float | None
    threshold: float | None
    is_copy: bool | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Measures:
    """All that is measured of a picture; `cells` (24, 24, 3) and `reading` are what it was measured on."""

    cells: NDArray[np.uint8]
    reading: Reading
    pixel_art: PixelArt
    background: BackgroundCheck
    hair: HairCheck
    skin: ColourCheck
    eyes: ColourCheck
    lips: ColourCheck
    accessories: tuple[AccessoryCheck, ...]
    defects: tuple[Defect, ...]
    copy: CopyCheck
    suggested: Suggested
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The documented dictionary of plain values."""
        art = self.pixel_art
        found: dict[str, Any] = {
            "version": VERSION,
            "pixel_art": {
                "is_pixel_art": art.is_pixel_art,
                "reason": art.why,
                "lattice": _lattice_json(art.lattice),
                "colours": {"raw": art.colours_raw, "merged": art.colours_merged},
                "isolated_share": round(art.isolated_share, 3),
                "outline_share": round(art.outline_share, 3),
                "band": art.bands,
                "photorealistic": art.photorealistic,
            },
        }
        for part in prompts.PARTS:
            found[part] = getattr(self, part).to_json()
        found["accessories"] = [item.to_json() for item in self.accessories]
        found["worn"] = {kind: round(likely, 2) for kind, likely in self.reading.worn.items()}
        found["defects"] = [defect.to_json() for defect in self.defects]
        found["copy"] = dict(vars(self.copy))
        found["suggested"] = {**vars(self.suggested), "reasons": list(self.suggested.reasons)}
        found["notes"] = list(self.notes)
        return found

    def labels(self) -> str:
        """The part of each cell in rows, a letter a cell: the first of the part's name, as `LETTERS` has them."""
        letters = np.array(list(LETTERS.values()))[self.reading.portrait.labels]
        return "\n".join("".join(row) for row in letters)


LETTERS = dict(zip(PARTS, "bhselocfgwjx", strict=True))


def measure(image: Image.Image, prompt: str | None = None, collection: Collection | None = None) -> Measures:
    """Measures of a picture of any size from 24x24 pixels, against a prompt where there is one.

    Without a collection, what was learned from the lab's stands in and copies are not looked for. Raises ValueError
    for a picture smaller than 24x24.
    """
    collection = collection or shipped()
    pixels = np.asarray(flatten(image))
    lattice = lattice_of(pixels)
    cells = sample_pixels(pixels, phase=lattice.phase if lattice and lattice.is_punk else (0.0, 0.0))
    palette = merged_palette(cells)
    reading = collection.prior.read(scene_of(cells, palette))
    values = _banded(palette, reading)
    pixel_art = _pixel_art(image.size, lattice, palette, values, collection)
    checks = check(reading, prompt, collection.words)
    defects = tuple(find_defects(reading, collection.prior.bare, eyes_as_asked=checks.eyes.matches))
    copy = _copy(cells, collection)
    seen = Seen(
        pixel_art=pixel_art.is_pixel_art,
        why_not=pixel_art.why,
        lattice=lattice.score if lattice else None,
        places=pixel_art.bands,
        values=values,
        bands=collection.bands,
        checks=checks,
        defects=defects,
        is_copy=bool(copy.is_copy),
    )
    return Measures(
        cells=cells,
        reading=reading,
        pixel_art=pixel_art,
        **vars(checks),
        defects=defects,
        copy=copy,
        suggested=suggest(seen),
        notes=prompts.unread(prompt) if prompt else (),
    )


def _banded(palette: Palette, reading: Reading) -> dict[str, float]:
    values = (len(palette.colours), isolated_share(palette), outline_share(reading.portrait))
    return dict(zip(BANDS, map(float, values), strict=True))


def _pixel_art(
    size: tuple[int, int],
    lattice: Lattice | None,
    palette: Palette,
    values: Mapping[str, float],
    collection: Collection,
) -> PixelArt:
    is_art, why = _judge_raster(size, lattice, palette)
    uneven = lattice is not None and lattice.uneven_share > _PHOTO_UNEVEN
    return PixelArt(
        is_pixel_art=is_art,
        why=why,
        lattice=lattice,
        colours_raw=palette.n_raw,
        colours_merged=len(palette.colours),
        isolated_share=values["isolated_share"],
        outline_share=values["outline_share"],
        bands={name: collection.bands[name].place(values[name]) for name in BANDS},
        photorealistic=is_art is False and uneven and palette.n_raw > _PHOTO_COLOURS,
    )


def _judge_raster(size: tuple[int, int], lattice: Lattice | None, palette: Palette) -> tuple[bool | None, str]:
    if palette.n_raw == 1:
        return None, "the picture is all of one colour: nothing shows a raster"
    if lattice is None:
        if size != (SIDE, SIDE):
            return False, f"{size[0]}x{size[1]} pixels are no 24x24 cells"
        drawn = palette.n_raw <= _MOST_DRAWN_COLOURS
        return drawn, "24x24 pixels" if drawn else f"{palette.n_raw} colours in 24x24 pixels: made smaller, not drawn"
    if lattice.is_punk:
        return True, "a raster of 24x24 cells"
    if lattice.columns:
        return False, f"a raster of {lattice.columns}x{lattice.rows} cells, not of 24x24"
    return False, f"no raster of cells: lattice score {lattice.score:.2f}"


def _copy(cells: NDArray[np.uint8], collection: Collection) -> CopyCheck:
    found = collection.copies.nearest(cells)
    if found is None:
        reason = "no training images at hand: import the captions and name their version"
        return CopyCheck(nearest=None, distance=None, threshold=None, is_copy=None, reason=reason)
    threshold = collection.copies.threshold
    return CopyCheck(
        nearest=collection.names[found.place],
        distance=round(found.distance, 4),
        threshold=round(threshold, 4),
        is_copy=found.distance < threshold,
        reason="",
    )


def _lattice_json(lattice: Lattice | None) -> dict[str, Any] | None:
    if lattice is None:
        return None
    return {
        "score": round(lattice.score, 3),
        "columns": lattice.columns,
        "rows": lattice.rows,
        "phase": list(lattice.phase),
    }
