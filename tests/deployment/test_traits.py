from __future__ import annotations

import pytest

from deployment.traits import ChoiceError, Traits
from deployment.vocabulary import derive
from tests.deployment.conftest import CAPTIONS, CHOICES


def labels(traits, kind):
    return [option.label for option in traits.options.get(kind, ())]


@pytest.fixture
def traits():
    return derive(CAPTIONS)


def test_captions_offer_their_own_phrases_by_kind(traits):
    assert labels(traits, "punk") == ["lady", "lad"]
    assert labels(traits, "hair") == ["black", "long red"]
    assert labels(traits, "headwear") == ["golden crown"]
    assert labels(traits, "eyewear") == ["black stunner shades"]
    assert labels(traits, "facial_hair") == ["stubble"]
    assert labels(traits, "background") == ["green", "solid blue"]


def test_a_prompt_follows_the_order_and_the_codes_of_the_captions(traits):
    chosen = {"punk": "lady", "hair": "long red hair", "headwear": "golden crown", "skin": "light skin"}
    assert traits.prompt(chosen) == (
        "pixel art, 24x24, portrait of bespoke punk lady, long red hair (#c02020), golden crown, eyes, pink lips, "
        "neutral expression, light skin (#f0c090), solid background"
    )


def test_without_codes_in_the_captions_a_prompt_has_none():
    plain = derive(["pixel art, 24x24, portrait of bespoke punk lad, red hair, lips, blue background"])
    assert "#" not in plain.prompt({"punk": "lad", "hair": "red hair"})


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"punk": "lady", "hair": "purple hair"}, "purple hair"),
        ({"punk": "lady", "prompt": "anything"}, "prompt"),
        ({"hair": "black hair"}, "lady or a lad"),
        ({"punk": "lady, nude"}, "nude"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(traits, choices, said):
    with pytest.raises(ChoiceError, match=said):
        traits.prompt(choices)


def test_traits_survive_the_database(traits):
    again = Traits.from_json(traits.to_json())
    assert again.to_json() == traits.to_json()
    assert again.prompt(CHOICES) == traits.prompt(CHOICES)


def test_spellings_of_one_wish_count_together_and_the_commonest_is_kept():
    captions = ["lad, wearing gold chain, grey hair", "lad, a gold chain, gray hair", "lad, gold chain, gray hair"]
    found = derive(captions)
    assert labels(found, "necklace") == ["gold chain"]
    assert labels(found, "hair") == ["gray"]


def test_codes_that_contradict_their_word_give_no_swatch():
    """Most codes of the lab's hair are the background's."""
    found = derive(["lad, brown hair (#00ff00), solid green background (#00ff00)"] * 3)
    (hair,) = found.options["hair"]
    red, green, _ = (int(hair.swatches[0][at : at + 2], 16) for at in (1, 3, 5))
    assert red > green
    assert found.options["background"][0].swatches == ("#00ff00",)


def test_phrases_about_two_things_clothes_or_slips_are_not_offered():
    found = derive(["lad, brown hair and beard, black hoodie with gold chain, red hairr lips, wearing necklance"])
    assert set(found.options) == {"punk", "expression"}


def test_captions_that_say_nothing_still_give_a_prompt():
    assert derive([]).prompt({"punk": "lad"}).startswith("pixel art, 24x24, portrait of bespoke punk lad, hair, eyes")


@pytest.mark.parametrize("name", ["final_corrected_v1", "caption_fix_v1"])
def test_the_labs_own_captions_give_every_kind_in_clean_words(shared, name):
    files = sorted((shared / "punks" / name).glob("*.txt"))
    found = derive([file.read_text(encoding="utf-8", errors="replace") for file in files])
    assert found.codes == (name == "final_corrected_v1")
    for kind in ("hair", "eyes", "skin", "background", "headwear"):
        assert 20 <= len(found.options[kind]) <= 24
    for kind in ("eyewear", "earrings", "necklace", "facial_hair"):
        assert len(found.options[kind]) >= 5
    every = [option for options in found.options.values() for option in options]
    assert not [option for option in every if "#" in option.phrase or "," in option.phrase or "(" in option.phrase]
    assert {"dark brown", "black", "brown"} <= set(labels(found, "hair"))
    assert {"red", "blue", "pink", "bright green"} <= set(labels(found, "background"))
    swatched = [option for option in found.options["background"] if option.swatches]
    assert len(swatched) >= 18
