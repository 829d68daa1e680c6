from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from punklab.pixels.asked import accessories, asked
from punklab.pixels.colour import colour_word, parse_hex, passes_for, word_families, word_prototypes
from punklab.pixels.finish import finish
from punklab.pixels.grid import enlarge
from punklab.pixels.measures import measure
from punklab.pixels.regions import regions

PROMPT = (
    "pixel art, 24x24, portrait of bespoke punk lady, light brown hair (#aa7744), golden crown with (red, blue) gems, "
    "eyes (#663300), lips (#cc6666), neutral expression, skin (#f0c090), solid {background} background"
)


def punk(background: tuple[int, int, int], hair: tuple[int, int, int]) -> np.ndarray:
    cells = np.full((24, 24, 3), background, np.uint8)
    cells[5:24, 5:19] = hair
    cells[9:20, 8:17] = (240, 192, 144)
    cells[9:20, 7] = (0, 0, 0)
    cells[12, [9, 14]] = (102, 51, 0)
    cells[17, 11:13] = (204, 102, 102)
    return cells


def test_a_prompt_says_which_colour_each_part_shall_have():
    parts = asked(PROMPT.format(background="sky blue") + ", purple cap")
    assert {name: (part.word, part.code) for name, part in parts.items()} == {
        "hair": ("light brown", "#aa7744"),
        "eyes": (None, "#663300"),
        "lips": (None, "#cc6666"),
        "skin": (None, "#f0c090"),
        "background": ("sky blue", None),
    }
    worn = accessories(PROMPT.format(background="red") + ", purple cap")
    assert [(item.text, item.word) for item in worn] == [
        ("golden crown with (red, blue) gems", "golden"),
        ("purple cap", "purple"),
    ]


def test_a_description_that_runs_on_over_a_comma_keeps_its_code_and_a_bow_in_the_hair_is_no_hair():
    caption = (
        "red bow in hair (#ff0000), dark brown to black hair, longer gothic style (#57555a), eyes medium brown, lips"
    )
    parts = asked(caption)
    assert parts["hair"].code == "#57555a"
    assert parts["hair"].words[:2] == ("dark brown", "black")
    assert parts["eyes"].words[0] == "medium brown"
    assert parts["eyes"].code is None
    twice = asked("blue background, black hair, solid background (#0066ff), green background (#00ff00)")
    assert twice["background"].code == "#0066ff"


def test_colours_go_by_the_names_that_people_give_them():
    names = {"#fa8072": "salmon", "#00ff00": "green", "#2cc48f": "sea green", "#0066ff": "blue", "#663300": "brown"}
    assert {code: colour_word(parse_hex(code)) for code in names} == names
    assert passes_for(parse_hex("#79df8e"), "green")
    assert passes_for(parse_hex("#ffcc66"), "Golden Blonde")
    assert not passes_for(parse_hex("#28c38e"), "blue")
    assert not passes_for(parse_hex("#28c38e"), "checkered")
    assert word_prototypes("checkered") == []
    assert word_families("checkered") == frozenset()
    assert word_families("seafoam") == {"green", "teal"}


def test_regions_find_background_hair_and_face():
    found = regions(punk((60, 180, 90), (102, 51, 0)))
    assert found.background[:, :5].all()
    assert not found.background[:, 5:19][5:].any()
    assert found.hair[5:9, 5:19].all()
    assert not found.hair[12, 9]
    assert found.skin[15, 10]


def test_a_picture_as_asked_matches_and_one_in_other_colours_does_not():
    cells = punk((60, 180, 90), (170, 119, 68))
    picture = enlarge(cells, 16)
    good = measure(Image.fromarray(cells), picture, PROMPT.format(background="green"))
    assert (good.background.matches, good.hair.matches) == (True, True)
    assert good.background.observed_hex == "#3cb45a"
    assert good.hair.delta_e == 0
    assert (good.background_solid_share, good.lattice, good.is_pixel_art) == (1.0, 1.0, True)
    assert good.suggested.prompt == 8
    bad = measure(cells, picture, PROMPT.format(background="purple"))
    assert bad.background.matches is False
    assert (bad.background.delta_e or 0) > 40
    assert bad.suggested.prompt == 5
    assert "does not match the asked purple" in " ".join(bad.suggested.reasons)
    assert json.loads(json.dumps(bad.to_json()))["background"]["matches"] is False


def test_a_background_half_in_another_colour_is_neither_solid_nor_a_match():
    cells = punk((60, 180, 90), (102, 51, 0))
    cells[:, 19:] = (90, 40, 170)
    seen = measure(cells, enlarge(cells, 16), PROMPT.format(background="green"))
    assert not seen.background_is_solid
    assert seen.background.matches is False
    assert seen.suggested.visual < 6


def test_nothing_asked_gives_no_verdict_and_a_flat_picture_gives_no_parts():
    flat = Image.new("RGB", (24, 24), (10, 120, 200))
    seen = measure(flat, flat, "a photo of a dog")
    assert (seen.background.matches, seen.hair.observed_hex, seen.suggested.prompt) == (None, None, None)
    code_only = measure(flat, flat, "background (#0a78c8)"), measure(flat, flat, "background (#c80a0a)")
    assert [seen.background.matches for seen in code_only] == [True, False]
    assert measure(flat, flat, "solid background").background.matches is None
    with pytest.raises(ValueError, match="512"):
        measure(flat.resize((512, 512)), flat, "")


def test_a_smooth_photograph_is_not_pixel_art():
    x, y = np.meshgrid(np.linspace(0, 255, 512), np.linspace(0, 255, 512))
    photo = Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))
    seen = measure(finish(photo, merge=0.1, most=500), photo, "")
    assert not seen.is_pixel_art
    assert seen.suggested.style == 2


def test_the_labs_rendered_pictures_are_judged_as_people_judged_them(shared):
    labels = json.loads((shared / "generated" / "labels.json").read_text())
    for name, label in labels.items():
        raw = Image.open(shared / "generated" / name)
        seen = measure(finish(raw), raw, label["prompt"])
        assert seen.background.matches == label["background_matches"], name
        assert seen.background_is_solid == label["background_solid"], name
        assert seen.is_pixel_art == label["pixel_art"], name
        assert seen.colours_merged <= 27, name


def test_every_real_punk_is_pixel_art(shared):
    for path in sorted((shared / "punks" / "images").iterdir())[::10]:
        image = Image.open(path)
        assert measure(finish(image), image, "").is_pixel_art, path.name
