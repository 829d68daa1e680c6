from __future__ import annotations

import pytest

from punklab.pixels.colour import parse_hex
from punklab.pixels.naming import colour_word, passes_for, vocabulary, with_measured, word_families, word_prototypes


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("#fa8072", "salmon"), ("#00ff00", "green"), ("#2cc48f", "sea green"), ("#0066ff", "blue"), ("#663300", "brown"),
        ("#8eabd7", "light blue"), ("#95cbba", "seafoam green"), ("#faadd2", "light pink"), ("#d84dff", "violet"),
    ],
)  # fmt: skip
def test_colours_go_by_the_names_that_people_give_them(code, word):
    assert colour_word(parse_hex(code)) == word


@pytest.mark.parametrize(
    ("code", "word", "passes"),
    [
        ("#79df8e", "green", True), ("#28c38e", "blue", False), ("#95cbba", "blue", False), ("#98c098", "purple", False),
        ("#8eabd7", "blue", True), ("#28c38e", "checkered", False), ("#ff9900", "orange", True), ("#00ffff", "blue", True),
    ],
)  # fmt: skip
def test_backgrounds_pass_for_what_people_let_them_pass_for(code, word, passes):
    assert passes_for(parse_hex(code), word, "background") is passes


@pytest.mark.parametrize(
    ("part", "code", "word", "passes"),
    [
        ("hair", "#ffcc66", "Golden Blonde", True), ("hair", "#1f2525", "black", True), ("hair", "#4b2a11", "brown", True),
        ("hair", "#d84dff", "pink", False), ("hair", "#583992", "black", False), ("hair", "#fff000", "blonde", True),
        ("skin", "#e9dac5", "light", True), ("skin", "#85eb71", "light", False), ("skin", "#5c4034", "light", False),
        ("skin", "#85eb71", "green", True), ("eyes", "#592f18", "brown", True), ("lips", "#d66e8c", "rose", True),
    ],
)  # fmt: skip
def test_a_part_has_words_of_its_own(part, code, word, passes):
    assert passes_for(parse_hex(code), word, part) is passes


def test_a_colour_between_two_words_is_less_sure():
    words = vocabulary("background")
    clear, between = (float(words.passing(words.shares(parse_hex(code)), ("blue",))) for code in ("#0066ff", "#4fa0b8"))
    assert clear > 0.95
    assert between < clear


def test_what_is_unknown_passes_for_nothing_and_has_no_example():
    assert word_prototypes("checkered") == []
    assert word_families("checkered") == frozenset()
    assert word_families("seafoam") == {"green", "teal"}
    assert len(word_prototypes("sky blue")) > 2


def test_measured_prototypes_move_the_border_between_two_words():
    murky = parse_hex("#5d6b66")
    assert colour_word(murky, "background") != "teal"
    assert with_measured("background", {"teal": ["#5d6b66"], "no word": ["#000000"]}).word(murky) == "teal"
