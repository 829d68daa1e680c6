"""The miniature's own parts: tokenizer, autoencoder set by hand, codes, the recipe, and the weights that ship."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from punklab.diffusion.miniature import artist, assess, grammar, pool, profile, tokenizer
from punklab.pixels.colour import ciede2000, to_lab

pytestmark = pytest.mark.diffusion


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return assess.load(assess.BASE)


@pytest.fixture(scope="module")
def words() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(assess.BASE / "tokenizer", local_files_only=True)


def test_a_colour_code_is_six_tokens_whatever_its_digits(words):
    for code in ("ff66cc", "abcdef", "000000", "fade00", "1a2b3c"):
        tokens = words.tokenize(f"hair (#{code}), eyes")
        assert [token.removesuffix("</w>") for token in tokens[2:8]] == list(code)
        assert len(tokens) == 10


def test_every_word_of_the_artist_and_of_the_lab_is_one_token(words):
    for word in tokenizer.vocabulary_words():
        assert len(words.tokenize(word)) == 1, word


def test_merges_join_words_and_never_two_digits_of_a_code():
    merges = tokenizer.train_merges(["fade", "beard", "cap"])
    assert ("ca", "p</w>") in merges or ("c", "ap</w>") in merges
    assert not any(set((a + b).replace("</w>", "")) <= set("abcdef") for a, b in merges)


def test_the_labs_captions_fit_three_windows(shared, words):
    captions = [path.read_text() for path in sorted((shared / "punks" / "final_corrected_v1").glob("*.txt"))]
    lengths = [len(words(caption, add_special_tokens=False, verbose=False).input_ids) for caption in captions]
    assert len(lengths) == 203
    assert sum(length > 225 for length in lengths) <= 25


def test_the_autoencoder_gives_block_pictures_back(pipeline):
    import torch

    rng = random.Random(11)
    cells = np.stack([artist.enlarge(artist.punk(rng).cells, 4) for _ in range(6)])
    pixels = torch.from_numpy(cells).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        back = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mode()).sample
    assert (back - pixels).abs().max().item() * 127.5 <= 2


def test_codes_are_found_at_their_last_digit_unless_a_window_cuts_them(words):
    import torch

    from punklab.diffusion.miniature.codes import CodeFinder

    ids = words("hair (#ff8000), eyes (#0000ff", add_special_tokens=False).input_ids
    rows = torch.full((2, 150), words.eos_token_id)
    rows[0, : len(ids)] = torch.tensor(ids)
    rows[1, 70 : 70 + len(ids)] = torch.tensor(ids)
    colours, mask = CodeFinder(words, torch.device("cpu"))(rows)
    assert mask[0].nonzero().flatten().tolist() == [7, len(ids) - 1]
    assert ((colours[0, 7] + 1) * 127.5).round().tolist() == [255, 128, 0]
    assert mask[1].nonzero().flatten().tolist() == [70 + len(ids) - 1]


def test_the_pool_is_the_same_for_the_same_seed(words):
    first, second = (pool.draw_pool(1, words, seed=5, processes=1) for _ in range(2))
    assert first.cells.shape[1:] == (24, 24, 3)
    assert (first.rows == second.rows).all()
    assert (first.cells == second.cells).all()
    assert (first.lengths <= 75).mean() > 0.3
    assert (first.lengths > 150).mean() > 0.02


def test_the_weights_are_small_and_their_profile_is_of_them(tmp_path):
    files = [path for path in assess.BASE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15e6
    assert not [path for path in files if path.suffix in {".bin", ".ckpt", ".pt", ".pkl"}]
    written = json.loads((assess.BASE / "profile.json").read_text())
    (tmp_path / "unet").mkdir()
    weights = assess.BASE / "unet" / "diffusion_pytorch_model.safetensors"
    (tmp_path / "unet" / weights.name).write_bytes(weights.read_bytes())
    assert profile.write_profile(tmp_path, written["training"]) == written


def test_the_base_draws_the_asked_colours_in_one_window_and_in_three(pipeline):
    plain = [punk for punk in assess.held_out(40) if punk.traits.backdrop == "solid"]
    punks = [punk for punk in plain if len(pipeline.tokenizer.tokenize(grammar.caption(punk))) <= 75][:6]
    captions = [grammar.caption(punk) for punk in punks]
    one, three = (assess.render(pipeline, captions, windows, 12, 1.5) for windows in (1, 3))
    for punk, picture in zip(punks, one, strict=True):
        for part, bound in (("background", 8), ("skin", 10)):
            seen = np.median(picture[punk.parts[part]], axis=0)
            assert ciede2000(to_lab(seen), to_lab(punk.colours[part])) < bound, (part, grammar.caption(punk))
    assert np.abs(one.astype(float) - three).mean() < 2


def test_the_background_is_obeyed_by_its_word_alone_and_in_the_last_window(pipeline):
    caption = "pixel art, 24x24, portrait of bespoke punk lady, blonde hair, eyes, lips, slight smile, light skin"
    filler = ", sharp pixel edges, hard color borders, retro pixel art style" * 12
    told = [f"{caption}{filler}, solid {name} background" for name in ("red", "blue", "yellow")]
    pictures = assess.render(pipeline, told, 3, 12, 1.5)
    red, blue, yellow = (np.median(picture[:6, :4].reshape(-1, 3), axis=0) for picture in pictures)
    assert red[0] > 150 > max(red[1], red[2])
    assert blue[2] > 150 > blue[0]
    assert min(yellow[0], yellow[1]) > 150 > yellow[2]


def test_the_measures_tell_a_drawing_from_another(pipeline):
    punks = assess.held_out(24)
    truth = np.stack([punk.cells for punk in punks])
    assert assess.colour_errors(punks, truth) == dict.fromkeys(assess.COLOUR_PARTS, 0.0)
    assert assess.pixel_error(punks, truth) == 0
    assert all(share == 1 for share, _ in assess.obeyed(punks, truth).values())
    shifted = np.roll(truth, 3, axis=2)
    assert assess.pixel_error(punks, shifted) > 10
    assert assess.obeyed(punks, shifted)["expression"][0] < 0.9


def test_the_recipe_trains_and_leaves_a_base_that_loads(tmp_path: Path):
    from punklab.diffusion.miniature import train

    recipe = train.Recipe(batch=2, pool=1, rate=1e-3, text_rate=1e-4, half=False)
    written = train.build(tmp_path / "new", minutes=0.01, recipe=recipe)
    assert written["training"] == {"steps": 1, "batch": 2, "seed": 1, "minutes": 0.01, "device": "cpu"}
    punks = assess.held_out(1)
    drawn = assess.render(assess.load(tmp_path / "new"), [grammar.caption(punks[0])], 1, 2, 1.5)
    assert drawn.shape == (1, 24, 24, 3)


def test_the_command_overwrites_no_weights_and_wants_time(tmp_path: Path):
    with pytest.raises(CommandError, match="is not empty"):
        call_command("build_miniature", out=assess.BASE)
    with pytest.raises(CommandError, match="no time"):
        call_command("build_miniature", out=tmp_path / "new", minutes=0.0)
