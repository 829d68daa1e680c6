from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from punklab.diffusion import tokens


def test_a_hex_code_costs_what_clip_makes_of_it():
    # "#", "bc", "d", "4", "8", "f": digits never merge, letters do as CLIP learnt them
    assert tokens.count(["#bcd48f", "", "  ", "punk"]) == [6, 0, 0, 1]


def test_ids_are_those_of_clip():
    assert tokens.clip().ids("a photo of a cat") == [320, 1125, 539, 320, 2368]


def test_case_and_spaces_do_not_count():
    assert tokens.clip().ids("Pink  HAIR,\n crown") == tokens.clip().ids("pink hair, crown")


def test_what_is_cut_is_named_in_the_words_of_the_caption():
    kept, cut = tokens.cut_after("Pink hair, crown, solid green background", 5)
    assert (kept, cut) == ("Pink hair, crown,", "solid green background")
    assert tokens.cut_after("pink hair", 5) == ("pink hair", "")


@pytest.mark.diffusion
def test_counts_agree_with_transformers():
    from transformers import CLIPTokenizer

    ours = tokens.clip()
    saved = json.loads(ours._tokenizer.to_str())["model"]
    theirs = CLIPTokenizer(vocab=saved["vocab"], merges=[tuple(pair) for pair in saved["merges"]])
    texts = ["Punk's l'œil — naïve 24x24 (#FF66cc),,", "don't   we'll\tthey've", "日本 🙂 éa"]
    assert [ours.ids(text) for text in texts] == theirs(texts, add_special_tokens=False).input_ids


@pytest.mark.parametrize(
    ("version", "over_75", "over_225", "spread"),
    [("final_corrected_v1", 203, 25, (165, 206, 261)), ("caption_fix_v1", 33, 0, (37, 63, 119))],
)
def test_the_labs_captions_count_as_measured(shared: Path, version, over_75, over_225, spread):
    captions = [path.read_text() for path in sorted((shared / "punks" / version).glob("*.txt"))]
    counts = tokens.count(captions)
    assert (sum(n > 75 for n in counts), sum(n > 225 for n in counts)) == (over_75, over_225)
    assert (min(counts), median(counts), max(counts)) == spread
    assert all(
        bool(tokens.cut_after(caption, 225)[1]) == (n > 225) for caption, n in zip(captions, counts, strict=True)
    )
