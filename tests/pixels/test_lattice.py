from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from punklab.pixels.lattice import lattice_of
from tests.pixels.drawing import degraded, enlarged, photograph, punk


def lattice(picture: Image.Image):
    return lattice_of(np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("size", [48, 72, 96, 100, 384, 512, 576, 1021])
def test_a_punk_of_any_size_lies_on_24_cells(size):
    found = lattice(enlarged(punk(), size))
    assert found is not None
    assert (found.columns, found.rows, found.phase) == (24, 24, (0.0, 0.0))
    assert found.score == 1.0


@pytest.mark.parametrize("size", [24, 36, 47])
def test_below_48_pixels_there_is_nothing_to_tell(size):
    assert lattice(enlarged(punk(), 512).resize((size, size))) is None
    assert lattice(Image.new("RGB", (400, size))) is None


@pytest.mark.parametrize("size", [512, 576])
def test_jpeg_blur_and_noise_leave_the_raster_to_be_seen(size):
    found = lattice(degraded(punk(), size))
    assert found is not None
    assert found.is_punk
    assert 0.5 < found.score < 1


@pytest.mark.parametrize("cells", [12, 16, 20, 32, 48, 64])
def test_other_rasters_say_how_many_cells_they_have(cells):
    drawn = np.random.default_rng(cells).integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    found = lattice(enlarged(drawn, 512))
    assert found is not None
    assert (found.columns, found.rows) == (cells, cells)
    assert not found.is_punk


def test_columns_and_rows_may_differ():
    drawn = np.random.default_rng(1).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    found = lattice(Image.fromarray(drawn).resize((480, 640), Image.Resampling.NEAREST))
    assert found is not None
    assert (found.columns, found.rows) == (24, 32)


@pytest.mark.parametrize("picture", ["photograph", "smooth", "gradient"])
def test_what_was_never_on_a_raster_has_none(picture):
    x, y = np.meshgrid(np.linspace(0, 255, 512), np.linspace(0, 255, 512))
    pictures = {
        "photograph": photograph(),
        "smooth": Image.fromarray(punk()).resize((512, 512), Image.Resampling.BICUBIC),
        "gradient": Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)),
    }
    found = lattice(pictures[picture])
    assert found is not None
    assert (found.columns, found.rows) == (None, None)
    assert found.score < 0.5


def test_a_moved_raster_says_how_far():
    moved = np.roll(np.asarray(enlarged(punk(), 480)), (5, 8), axis=(0, 1))
    found = lattice(Image.fromarray(moved))
    assert found is not None
    assert found.is_punk
    assert found.phase == pytest.approx((0.4, 0.25), abs=0.03)
    assert found.score > 0.9


def test_a_flat_picture_scores_nothing():
    found = lattice(Image.new("RGB", (512, 512), "teal"))
    assert found is not None
    assert (found.score, found.columns) == (0.0, None)


@pytest.mark.parametrize("size", [180, 504])
def test_a_raster_of_12_cells_is_no_raster_of_24_though_noise_and_jpeg_hide_its_edges(size):
    drawing = np.asarray(photograph(12, seed=1).quantize(12).convert("RGB"))
    found = lattice(degraded(drawing, size, seed=1))
    assert found is not None
    assert not found.is_punk
