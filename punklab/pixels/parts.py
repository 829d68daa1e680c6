"""The colours of a portrait's parts: the main one, the hair's cells, and whether hair has two tones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punklab.pixels.colour import to_oklab
from punklab.pixels.portrait import Portrait

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

ONE_COLOUR = 8.0  # DIN99o: one colour to the eye
# A colour that hat and hair share by at least this much belongs to the hair as well.
_SHARED = 0.2
_OUTLINE = 12.0  # DIN99o lightness below which a line is an outline
_DARK_SHARE = 0.15
# Two hues are two where they are this far apart on the colour circle (degrees of OKLab) and this colourful.
_HUES_APART, _COLOURFUL = 40.0, 0.05
_TONE_SHARE = 0.2
_DARK, _BRIGHT = 0.35, 0.85  # lightness of OKLab


@dataclass(frozen=True)
class Main:
    """The main colour of some cells, their share of it (0 to 1), and how many cells each colour of the palette has."""

    colour: NDArray[np.uint8]
    share: float
    counts: NDArray[np.intp]


def main_colour(portrait: Portrait, mask: Mask, near: float = ONE_COLOUR) -> Main | None:
    """The colour with most cells of the mask about it, nearer than `near` (DIN99o); None of an empty mask."""
    return main_colours(portrait, [mask], [near])[0]


def main_colours(portrait: Portrait, masks: Sequence[Mask], near: Sequence[float]) -> list[Main | None]:
    """The same of several masks, each with its own `near`."""
    scene, flat = portrait.scene, np.stack(masks).reshape(len(masks), -1)
    which, n_colours = scene.palette.which.ravel(), len(scene.apart)
    of_mask = which + n_colours * np.arange(len(masks))[:, None]
    counts = np.bincount(of_mask[flat], minlength=len(masks) * n_colours).reshape(len(masks), n_colours)
    alike = scene.apart < np.array(near)[:, None, None]
    together = (alike @ counts[..., None])[..., 0] + counts / 1000
    densest = np.where(counts > 0, together, 0).argmax(axis=1)
    near_enough = flat & alike[np.arange(len(flat)), densest][:, which]
    cells = scene.cells.reshape(-1, 3)
    found: list[Main | None] = []
    for members, n_cells, each in zip(near_enough, flat.sum(axis=1).tolist(), counts, strict=True):
        if not n_cells:
            found.append(None)
            continue
        colours = np.sort(cells[members], axis=0)
        found.append(Main(colours[len(colours) // 2], len(colours) / n_cells, each))
    return found


def hair_of(portrait: Portrait) -> Mask:
    """The hair, with what may be hat or hair because both show its colour, without brims and outlines drawn around it."""
    hair, hat = portrait.mask("hair"), portrait.mask("headwear")
    which, points = portrait.scene.palette.which, portrait.scene.palette.points
    in_hair, in_hat = (np.bincount(which[mask], minlength=len(points)) for mask in (hair, hat))
    shared = in_hair > _SHARED * (in_hair + in_hat)
    mask: Mask = hair | (hat & shared[which])
    if hat.any():
        mask &= ~_between(portrait.mask("background"))
    dark = mask & (points[which][..., 0] < _OUTLINE)
    if (dark & _dense(dark)).sum() > _DARK_SHARE * mask.sum():
        return mask  # dark hair
    return mask & ~dark


def _between(background: Mask) -> Mask:
    """Cells with background right above and right below: a brim, or the tip of a strand."""
    between = np.zeros_like(background)
    between[1:-1] = background[:-2] & background[2:]
    return between


def _dense(mask: Mask) -> Mask:
    """Cells of which two thirds of the nine around are in the mask: an area, textured or not, but no line."""
    around = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), dtype=np.uint8)
    around[1:-1, 1:-1] = mask
    rows = around[:-2] + around[1:-1] + around[2:]
    count = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    dense: Mask = count >= 6
    return dense


def two_toned(portrait: Portrait, hair: Mask) -> bool:
    """Whether hair has two hues, or black and white halves, each over a fifth of its cells."""
    palette = portrait.scene.palette
    counts = np.bincount(palette.which[hair], minlength=len(palette.colours))
    lightness, red, yellow = to_oklab(palette.colours).T
    colourful = np.hypot(red, yellow) > _COLOURFUL
    grey = counts * ~colourful
    n_cells = int(counts.sum())
    dark, bright = (int(grey[side].sum()) for side in (lightness < _DARK, lightness > _BRIGHT))
    if min(dark, bright) > _TONE_SHARE * n_cells:
        return True
    hue = np.degrees(np.arctan2(yellow, red)) % 360
    return _two_hues(np.repeat(hue[colourful], counts[colourful]), n_cells)


def _two_hues(hues: Floats, n_cells: int) -> bool:
    """Whether two clusters of hues, a good way apart on the circle, each hold a fifth of the cells."""
    histogram = np.bincount((hues // 10).astype(np.intp), minlength=36)
    # A hue's shades spread over some thirty degrees.
    smooth = np.roll(histogram, -1) + histogram + np.roll(histogram, 1)
    first = int(smooth.argmax())
    gap = np.abs((np.arange(36) - first + 18) % 36 - 18) * 10
    second = int(np.where(gap >= _HUES_APART, smooth, 0).max())
    return bool(min(int(smooth[first]), second) > _TONE_SHARE * n_cells)
