"""The procedural artist, its captions and the demo set: what it says of a punk is what its cells show."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from PIL import Image

from punklab.diffusion.miniature import artist, assess, demo, grammar, palette, shapes
from punklab.diffusion.miniature.traits import Item, Traits, random_traits
from punklab.pixels.colour import parse_hex

LAB_TRAITS = Traits(
    sex="lady",
    hair_style="long",
    hair=(0xFF, 0x66, 0xCC),
    eyes=(0x66, 0x33, 0x00),
    lips=(0xCC, 0x66, 0x66),
    skin=(0xF0, 0xC0, 0x90),
    background=(0, 0xFF, 0),
    expression="neutral expression",
    clothes=Item("shirt", (40, 80, 220)),
    headwear=Item("crown", (235, 195, 50)),
    earrings="hoop earrings",
)


def punks(count: int, seed: int = 3) -> list[artist.Punk]:
    rng = random.Random(seed)
    return [artist.punk(rng) for _ in range(count)]


def test_the_same_seed_draws_the_same_punks_and_captions():
    first, second = punks(20), punks(20)
    assert all((one.cells == two.cells).all() for one, two in zip(first, second, strict=True))
    told = [[grammar.caption(punk, grammar.FULL, random.Random(5)) for punk in some] for some in (first, second)]
    assert told[0] == told[1]
    assert not all((one.cells == two.cells).all() for one, two in zip(first, punks(20, seed=4), strict=True))


def test_every_cell_belongs_to_one_part_and_shows_its_colour():
    for punk in punks(200):
        assert (np.stack(list(punk.parts.values())).sum(axis=0) == 1).all()
        for part in ("skin", "eyes", "lips", "outline"):
            assert (punk.cells[punk.parts[part]] == punk.colours[part]).all(), part
        if punk.parts["hair"].sum() > 8:
            shown = (punk.cells[punk.parts["hair"]] == punk.traits.hair).all(axis=-1)
            assert shown.mean() > 0.5
        if punk.traits.backdrop == "solid":
            assert (punk.cells[punk.parts["background"]] == punk.traits.background).all()


def test_every_accessory_and_hair_style_leaves_its_mark():
    plain = artist.draw(LAB_TRAITS).cells
    for kind in (*shapes.HEADWEAR, "hood"):
        drawn = artist.draw(_with(headwear=Item(kind, (10, 20, 200))))
        assert drawn.parts["headwear"].sum() >= 12, kind
    for kind in shapes.EYEWEAR:
        assert artist.draw(_with(eyewear=Item(kind, (10, 20, 200)))).parts["eyewear"].sum() >= 10, kind
    pictures = [artist.draw(_with(headwear=None, hair_style=style)).cells.tobytes() for style in shapes.HAIR]
    assert len(set(pictures)) == len(shapes.HAIR)
    smile = artist.draw(_with(expression="slight smile")).cells
    assert 1 <= (smile != plain).any(axis=-1).sum() <= 4


def _with(**changes: object) -> Traits:
    return Traits(**{**vars(LAB_TRAITS), **changes})


def test_the_lab_prompt_is_what_the_artist_says_of_such_a_punk():
    assert grammar.caption(artist.draw(LAB_TRAITS)) == (
        "pixel art, 24x24, portrait of bespoke punk lady, pink hair (#ff66cc), crown, hoop earrings, eyes (#663300), "
        "lips (#cc6666), neutral expression, skin (#f0c090), solid green background (#00ff00)"
    )


def test_the_measured_six_are_the_labs_six_prompts(shared):
    lab = json.loads((shared / "lab-settings.json").read_text())["comparison"]
    assert [grammar.caption(punk) for punk in assess.lab_punks()] == [prompt["prompt"] for prompt in lab]


def test_codes_in_captions_are_colours_of_the_picture_and_agree_with_their_words():
    rng = random.Random(8)
    kinds = {"hair": "hair", "eyes": "eyes", "lips": "lips", "background": "general"}
    checked = 0
    for punk in punks(150):
        caption = grammar.caption(punk, grammar.FULL, rng)
        told = re.search(r"palette: (.*)", caption)
        assert told
        shown = {tuple(colour) for colour in punk.cells.reshape(-1, 3).tolist()}
        assert {parse_hex(code) for code in re.findall(r"#[0-9a-f]{6}", told[1])} <= shown
        for noun, kind in kinds.items():
            for words, code in re.findall(rf"([a-z ]+) {noun} \((#[0-9a-f]{{6}})\)", caption):
                word = words.replace("gray", "grey").strip().removeprefix("solid ")
                if word in palette.TABLES[kind]:
                    checked += 1
                    assert word == palette.name_of(parse_hex(code), kind)
    assert checked > 200


def test_a_caption_without_codes_holds_none_and_still_names_the_parts():
    for punk in punks(30):
        caption = grammar.caption(punk, grammar.WORDS, random.Random(1))
        assert "#" not in caption
        assert punk.traits.expression in caption
        assert palette.name_of(punk.traits.background) in caption.replace("gray", "grey")


def test_random_traits_are_varied():
    rng = random.Random(2)
    many = [random_traits(rng) for _ in range(3000)]
    assert {traits.hair_style for traits in many} == set(shapes.HAIR)
    assert {traits.headwear.kind for traits in many if traits.headwear} == {*shapes.HEADWEAR, "hood"}
    assert {traits.eyewear.kind for traits in many if traits.eyewear} == set(shapes.EYEWEAR)


def test_the_demo_set_is_a_style_of_its_own_and_complete(tmp_path):
    pairs = demo.draw_demo_set(20, seed=7)
    for punk, caption in pairs:
        assert (punk.cells[punk.parts["outline"]] == artist.DEMO_STYLE.outline).all()
        assert caption.startswith(f"pixel art, 24x24, portrait of bespoke punk {punk.traits.sex}, ")
        assert "lips (#" in caption
        assert punk.traits.expression in caption
        assert len(set(re.findall(r"#[0-9a-f]{6}", caption))) >= demo.FEWEST_CODES
    base = np.stack([artist.draw(punk.traits).cells for punk, _ in pairs]).astype(float)
    assert np.abs(base - np.stack([punk.cells for punk, _ in pairs])).mean() > 10

    written = demo.write_demo_set(tmp_path / "demo", n=20, seed=7)
    before = {path.name: path.read_bytes() for path in (tmp_path / "demo").iterdir()}
    assert len(before) == 40
    for path, (punk, caption) in zip(written, pairs, strict=True):
        assert path.with_suffix(".txt").read_text() == caption
        with Image.open(path) as picture:
            assert (np.asarray(picture)[:: demo.FACTOR, :: demo.FACTOR] == punk.cells).all()
    demo.write_demo_set(tmp_path / "demo", n=20, seed=7)
    assert {path.name: path.read_bytes() for path in (tmp_path / "demo").iterdir()} == before


def test_a_shape_outside_the_grid_is_not_drawn_silently():
    with pytest.raises(ValueError, match="invalid literal"):
        shapes.runs("3:a-4")
