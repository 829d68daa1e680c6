from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from punklab.pixels.colour import ciede2000, to_lab
from punklab.pixels.finish import finish, finish_of, name_of
from punklab.pixels.grid import enlarge, sample
from punklab.pixels.palette import palette_of

SKIN, HAIR, BACKGROUND, EYE, LIPS = (208, 160, 112), (102, 51, 0), (60, 180, 90), (51, 153, 255), (204, 102, 102)


def punk() -> np.ndarray:
    cells = np.full((24, 24, 3), BACKGROUND, np.uint8)
    cells[4:24, 5:19] = HAIR
    cells[8:20, 8:17] = SKIN
    cells[11, 9], cells[11, 14] = EYE, EYE
    cells[17, 11:13] = LIPS
    return cells


def rendered(cells: np.ndarray, size: int, noise: float = 5.0, seed: int = 3) -> Image.Image:
    """As a diffusion model draws it: every cell in a shade of its own, every pixel a little off, edges soft."""
    rng = np.random.default_rng(seed)
    shades = np.clip(cells + rng.normal(0, noise, (24, 24, 1)), 0, 255).astype(np.uint8)
    large = np.asarray(Image.fromarray(shades).resize((size, size), Image.Resampling.NEAREST), float)
    picture = Image.fromarray(np.clip(large + rng.normal(0, 3, large.shape), 0, 255).astype(np.uint8))
    return picture.resize((size - 1, size - 1), Image.Resampling.BILINEAR).resize(
        (size, size), Image.Resampling.BILINEAR
    )


@pytest.mark.parametrize("size", [24, 48, 100, 384, 512, 1021])
def test_an_enlarged_picture_gives_back_its_cells_at_any_size(size):
    cells = np.random.default_rng(size).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    large = Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST)
    assert np.array_equal(sample(large), cells)


def test_palette_and_transparent_pictures_are_sampled_as_seen():
    cells = punk()
    assert np.array_equal(sample(enlarge(cells, 8).quantize(16)), cells)
    see_through = enlarge(cells, 2).convert("RGBA")
    see_through.putalpha(
        Image.fromarray(np.where(np.all(np.asarray(see_through)[..., :3] == BACKGROUND, -1), 0, 255).astype(np.uint8))
    )
    seen = sample(see_through)
    assert tuple(seen[0, 0]) == (255, 255, 255)
    assert tuple(seen[11, 9]) == EYE


def test_a_picture_smaller_than_the_raster_and_a_factor_below_one_are_refused():
    with pytest.raises(ValueError, match="23x24"):
        sample(Image.new("RGB", (23, 24)))
    with pytest.raises(ValueError, match="by 0"):
        enlarge(punk(), 0)


@pytest.mark.parametrize("size", [384, 512])
def test_a_rendered_punk_is_finished_into_its_few_true_colours(size):
    cells, picture = punk(), rendered(punk(), size)
    assert len(palette_of(sample(picture))[0]) > 100
    done = np.asarray(finish(picture))
    assert done.shape == (24, 24, 3)
    assert len(palette_of(done)[0]) <= 12
    assert len(np.unique(done[:4].reshape(-1, 3), axis=0)) == 1, "the background is solid"
    for part in (cells[11, 9], cells[17, 11], cells[0, 0]):
        where = np.all(cells == part, -1)
        assert ciede2000(to_lab(done[where]), to_lab(part)).max() < 8, "small parts keep their colour"


def test_finishing_twice_changes_nothing_and_gives_the_same_bytes():
    once = finish(rendered(punk(), 512))
    assert finish(once).tobytes() == once.tobytes()
    assert finish(rendered(punk(), 512)).tobytes() == once.tobytes()


def test_a_drawn_picture_keeps_its_shades_and_loses_only_what_the_band_forbids():
    cells = punk()
    cells[0, :20] = [(60 + i, 180, 90) for i in range(20)]
    assert np.array_equal(np.asarray(finish(enlarge(cells, 16))), cells)
    done = np.asarray(finish(enlarge(cells, 16), most=10))
    assert len(palette_of(done)[0]) == 10
    assert tuple(done[11, 9]) == EYE
    assert tuple(done[17, 11]) == LIPS


def test_a_finish_is_known_by_its_name():
    cells = np.random.default_rng(3).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    picture = enlarge(cells, 8)
    assert finish_of(name_of(9))(picture).tobytes() == finish(picture, most=9).tobytes()
    assert finish_of("punk24-1")(picture).tobytes() == finish(picture).tobytes()
    for unknown in ("punk24-2", "punk24-2:0", "punk24-2:9x", "punk24-3:9"):
        with pytest.raises(ValueError, match=re.escape(repr(unknown))):
            finish_of(unknown)
