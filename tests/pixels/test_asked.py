from __future__ import annotations

import json
import time

import pytest

from punklab.pixels.asked import accessories, asked, asks_bald, colour_words, kinds_named, unread

PROMPT = (
    "pixel art, 24x24, portrait of bespoke punk lady, light brown hair (#aa7744), golden crown with (red, blue) gems, "
    "eyes (#663300), lips (#cc6666), neutral expression, skin (#f0c090), solid {background} background"
)


def test_a_prompt_says_which_colour_each_part_shall_have():
    parts = asked(PROMPT.format(background="sky blue") + ", purple cap")
    assert {name: (part.word, part.code) for name, part in parts.items()} == {
        "hair": ("light brown", "#aa7744"),
        "eyes": (None, "#663300"),
        "lips": (None, "#cc6666"),
        "skin": (None, "#f0c090"),
        "background": ("sky blue", None),
    }
    assert parts["background"].solid
    worn = accessories(
        PROMPT.format(background="red") + ", purple cap, hoop earrings, black stunner shades, full beard"
    )
    assert [(item.kind, item.text, item.word) for item in worn] == [
        ("ornament", "golden crown with (red, blue) gems", "golden"),
        ("hat", "purple cap", "purple"),
        ("earrings", "hoop earrings", None),
        ("eyewear", "black stunner shades", "black"),
        ("facial_hair", "full beard", None),
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


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        ("red green background", "background", ("green", "red")),
        ("light sky blue background", "background", ("light sky blue", "blue")),
        ("ashy blonde hair", "hair", ("blonde", "ashy")),
        ("medium to light skin (middle eastern)", "skin", ("medium", "light")),
        ("light pale green skin tone", "skin", ("green",)),
        ("hair", "hair", ()),
    ],
)
def test_colour_words_are_read_as_english_puts_them(text, part, words):
    assert colour_words(text, part) == words


@pytest.mark.parametrize("pattern", ["split", "checkered", "gradient", "pinstripe"])
def test_a_patterned_background_is_asked_to_be_of_no_one_colour(pattern):
    assert asked(f"green {pattern} background")["background"].pattern == pattern
    assert asked("solid green background")["background"].pattern is None


def test_what_is_worn_is_named_anywhere():
    assert kinds_named("eyes covered by semi translucent lenses, wearing stubble, wearing hat") == {
        "eyewear", "facial_hair", "hat",
    }  # fmt: skip
    assert asks_bald("lad, bald, green background")
    assert not asks_bald("lady, black hair")


def test_what_cannot_be_read_is_named_with_the_mend():
    problems = unread("green background (#ff66c), blue background, hair (#00ff00), (#12345g)")
    assert [text for text in problems if "#ff66c is no colour code" in text]
    assert [text for text in problems if "#12345g" in text]
    assert [text for text in problems if "background is asked for more than once" in text]
    assert unread("green hair (#00ff00), blue background (#0000ff)") == ()
    assert len(unread("#" + "z" * 9000)[0]) < 200


@pytest.mark.parametrize("prompt", ["a," * 5000, "(" * 10_000, "(),a" * 2500, "x" * 10_000, "fond vert, cheveux roses"])
def test_no_prompt_takes_long_or_breaks(prompt):
    began = time.process_time()
    assert asked(prompt) == {}
    assert accessories(prompt) == []
    unread(prompt)
    assert time.process_time() - began < 2


def test_the_labs_captions_are_read_whole(shared):
    settings = json.loads((shared / "lab-settings.json").read_text())
    for each in settings["comparison"]:
        parts = asked(each["prompt"])
        assert parts["background"].words, each["name"]
        assert parts["background"].solid, each["name"]
        assert parts["hair"].words, each["name"]
        assert accessories(each["prompt"]), each["name"]
    for version in ("final_corrected_v1", "caption_fix_v1"):
        captions = [path.read_text() for path in (shared / "punks" / version).iterdir()]
        assert sum("background" in asked(caption) for caption in captions) > 195
        assert sum("eyes" in asked(caption) for caption in captions) > 180
