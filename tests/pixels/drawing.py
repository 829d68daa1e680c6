"""Pictures to measure: a punk drawn by hand, and what JPEG, blur, noise and other rasters do to one."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

SKIN, OUTLINE = (240, 192, 144), (0, 0, 0)
EYES, LIPS = (102, 51, 0), (204, 102, 102)


def punk(
    background: tuple[int, int, int] = (0, 102, 255),
    hair: tuple[int, int, int] = (120, 70, 30),
    skin: tuple[int, int, int] = SKIN,
    eyes: tuple[int, int, int] = EYES,
) -> np.ndarray:
    """A lady with long hair on the collection's template."""
    cells = np.full((24, 24, 3), background, np.uint8)
    cells[4:8, 7:17] = hair
    cells[8:20, 5:19] = hair
    cells[8:20, 8:17] = OUTLINE
    cells[9:19, 9:16] = skin
    cells[19, 9:14] = skin
    cells[20:22, 9:11] = skin
    cells[8, 9:15] = skin
    cells[11, [9, 10, 14, 15]] = eyes
    cells[12, [10, 15]] = eyes
    cells[12, [9, 14]] = cells[15, 12] = OUTLINE
    cells[17, 11:14] = LIPS
    cells[22:, 6:17] = (60, 60, 90)
    return cells


def enlarged(cells: np.ndarray, size: int) -> Image.Image:
    return Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST)


def degraded(cells: np.ndarray, size: int, seed: int = 0) -> Image.Image:
    """Enlarged, blurred with sigma 1, with noise of 6, as JPEG of quality 80."""
    picture = enlarged(cells, size).filter(ImageFilter.GaussianBlur(1))
    noisy = np.asarray(picture, float) + np.random.default_rng(seed).normal(0, 6, (size, size, 3))
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    return Image.open(buffer)


def photograph(size: int = 512, seed: int = 0) -> Image.Image:
    """Like a photograph: smooth shapes at many scales, and grain."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size, size, 3))
    for cells in (3, 7, 17, 43, 101):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += np.asarray(layer.resize((size, size), Image.Resampling.BICUBIC), float) / np.sqrt(cells)
    picture *= 255 / picture.max()
    return Image.fromarray((picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8))
