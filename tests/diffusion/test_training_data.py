from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punklab.diffusion.training_data import read_training_data
from punklab.diffusion.training_plan import TrainingError, TrainingPlan


@pytest.fixture
def plan_of(miniature, training_folder):
    def build(**values):
        return TrainingPlan.from_config(
            {"caption_extension": ".txt", **values},
            base=miniature,
            train_data_dir=training_folder,
            output_dir=Path(),
            state_dir=Path(),
        )

    return build


def captions_of(data, plan, epoch=1):
    return [caption for batch in data.batches(plan, epoch) for caption in batch.captions]


def test_a_folders_number_is_how_often_its_pictures_count(plan_of, training_folder):
    shutil.copytree(training_folder / "1_punks", training_folder / "3_more")
    shutil.copytree(training_folder / "1_punks", training_folder / "no number")
    plan = plan_of(train_batch_size=5)
    data = read_training_data(plan)
    seen = Counter(position for batch in data.batches(plan, 1) for position in batch.pictures)
    assert [path.parent.name for path in data.paths] == ["1_punks"] * 4 + ["3_more"] * 4
    assert seen == {**dict.fromkeys(range(4), 1), **dict.fromkeys(range(4, 8), 3)}
    assert [len(batch.pictures) for batch in data.batches(plan, 1)] == [5, 5, 5, 1]


def test_the_order_changes_with_epoch_and_seed_and_not_otherwise(plan_of, training_folder):
    (training_folder / "1_punks").rename(training_folder / "9_punks")
    data = read_training_data(plan_of())

    def order(epoch=1, **values):
        return [batch.pictures for batch in data.batches(plan_of(**values), epoch)]

    assert order() == order()
    assert order() != order(epoch=2)
    assert order() != order(seed=1)
    assert order() == order(shuffle_caption=True, flip_aug=True, caption_dropout_rate=0.5)


def test_an_epoch_can_be_begun_in_its_middle(plan_of):
    plan = plan_of(shuffle_caption=True, flip_aug=True, caption_dropout_rate=0.3)
    data = read_training_data(plan)
    assert list(data.batches(plan, 2, start=2)) == list(data.batches(plan, 2))[2:]


def test_shuffling_keeps_the_first_parts_and_all_of_the_others(plan_of):
    plan = plan_of(shuffle_caption=True, keep_tokens=2)
    data = read_training_data(plan)
    plain = {frozenset(caption.split(", ")): caption for caption in data.captions}
    shuffled = [caption for epoch in range(1, 4) for caption in captions_of(data, plan, epoch)]
    for caption in shuffled:
        original = plain[frozenset(caption.split(", "))]
        assert caption.split(", ")[:2] == original.split(", ")[:2]
    assert len(set(shuffled)) > len(data.captions)
    assert sorted(captions_of(data, plan_of())) == sorted(data.captions)


def test_another_separator_makes_other_parts(plan_of):
    data = read_training_data(plan_of())
    plan = plan_of(shuffle_caption=True, caption_separator="(")
    for caption in captions_of(data, plan):
        assert len(caption.split(", #")) > 1


def test_captions_drop_out_at_the_rate_asked_for(plan_of, training_folder):
    (training_folder / "1_punks").rename(training_folder / "100_punks")
    data = read_training_data(plan_of())
    dropped = captions_of(data, plan_of(caption_dropout_rate=0.25)).count("")
    assert 70 < dropped < 130
    assert captions_of(data, plan_of(caption_dropout_rate=1.0)).count("") == 400
    assert captions_of(data, plan_of()).count("") == 0


def test_half_of_the_pictures_are_flipped_where_asked(plan_of, training_folder):
    (training_folder / "1_punks").rename(training_folder / "100_punks")
    data = read_training_data(plan_of())
    flips = [flip for batch in data.batches(plan_of(flip_aug=True), 1) for flip in batch.flips]
    assert 150 < sum(flips) < 250
    assert not any(flip for batch in data.batches(plan_of(), 1) for flip in batch.flips)


def test_pictures_are_reduced_to_24_cells_whatever_their_size_and_mode(plan_of, training_folder):
    folder = training_folder / "1_punks"
    cells = np.asarray(Image.open(folder / "p0.png"))
    Image.fromarray(cells).resize((480, 480), Image.Resampling.NEAREST).convert("RGBA").save(folder / "p0.png")
    Image.open(folder / "p1.png").quantize(256).save(folder / "p1.png")
    data = read_training_data(plan_of())
    assert data.cells.shape == (4, 24, 24, 3)
    assert np.array_equal(data.cells[0], cells)


def test_a_captions_first_line_counts_as_in_kohya(plan_of, training_folder):
    (training_folder / "1_punks" / "p0.txt").write_text("  first line \nsecond\n")
    assert read_training_data(plan_of()).captions[0] == "first line"


def break_picture(path):
    path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")


def animate(path):
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("p1.png", lambda path: path.write_bytes(b""), "no picture"),
        ("p1.png", break_picture, "p1.png"),
        ("p1.png", lambda path: path.write_bytes(path.read_bytes()[:400]), "p1.png: cannot be read"),
        ("p1.png", lambda path: Image.new("RGB", (12, 12)).save(path), "smaller than 24x24"),
        ("p1.png", animate, "animated"),
        ("p1.txt", Path.unlink, r"p1.png: its caption p1.txt is missing"),
        ("p1.txt", lambda path: path.write_text("\n"), "first line is empty"),
        ("p1.txt", lambda path: path.write_bytes(b"\xff\xfe\x00"), "UTF-8"),
    ],
)
def test_a_bad_file_is_named_with_the_mend(plan_of, training_folder, name, spoil, words):
    spoil(training_folder / "1_punks" / name)
    with pytest.raises(TrainingError, match=words):
        read_training_data(plan_of())


def test_kohyas_default_extension_is_not_silently_mended(plan_of):
    with pytest.raises(TrainingError, match=r'set `caption_extension = "\.txt"`'):
        read_training_data(plan_of(caption_extension=None))


def test_a_folder_without_numbered_folders_is_refused(plan_of, training_folder):
    (training_folder / "1_punks").rename(training_folder / "punks")
    with pytest.raises(TrainingError, match="N_name"):
        read_training_data(plan_of())
    shutil.rmtree(training_folder)
    with pytest.raises(TrainingError, match="no folder"):
        read_training_data(plan_of())
