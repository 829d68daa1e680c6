from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from punklab.diffusion.base import resolve_base
from runs.bases import base_for
from runs.checkpoints import CheckpointError, base_alone, register
from runs.models import Checkpoint
from tests.factories import make_run, write_lora

pytestmark = pytest.mark.django_db
TRAINED, ADOPTED = Checkpoint.Source.TRAINED, Checkpoint.Source.ADOPTED


def taken_in(path: Path, run=None, epoch: int | None = 1, source=TRAINED) -> Checkpoint:
    return register(path, run=run, epoch=epoch, source=source, base=base_for("miniature"))


def test_a_checkpoint_keeps_what_its_header_says(tmp_path: Path):
    path = write_lora(tmp_path / "neon-000003.safetensors", dim=8, alpha=4.0, ss_epoch="3", ss_output_name="neon")
    checkpoint = taken_in(path, make_run(), epoch=None)
    assert (checkpoint.epoch, checkpoint.size, checkpoint.original_name) == (3, path.stat().st_size, path.name)
    assert (checkpoint.header["dim"], checkpoint.header["alpha"]) == (8, 4.0)
    assert checkpoint.header["metadata"]["ss_output_name"] == "neon"
    assert checkpoint.path
    assert checkpoint.path.read_bytes() == path.read_bytes()
    assert checkpoint.base_fingerprint == base_for("miniature").fingerprint


def test_registering_again_changes_nothing(tmp_path: Path):
    path, run = write_lora(tmp_path / "a.safetensors"), make_run()
    assert taken_in(path, run) == taken_in(path, run)
    assert Checkpoint.objects.count() == 1


def test_equal_weights_saved_at_another_time_are_the_same_checkpoint(tmp_path: Path):
    run = make_run()
    first = taken_in(write_lora(tmp_path / "a.safetensors", ss_training_finished_at="1"), run)
    assert taken_in(write_lora(tmp_path / "b.safetensors", ss_training_finished_at="2"), run) == first


def test_other_weights_for_a_known_epoch_are_refused(tmp_path: Path):
    run = make_run()
    first = taken_in(write_lora(tmp_path / "a.safetensors", seed=1), run)
    with pytest.raises(CheckpointError, match="a checkpoint never changes"):
        taken_in(write_lora(tmp_path / "b.safetensors", seed=2), run)
    assert list(Checkpoint.objects.all()) == [first]


def test_a_stored_file_that_was_damaged_is_replaced(tmp_path: Path, storage: Path):
    path = write_lora(tmp_path / "a.safetensors")
    stored = taken_in(path, make_run(), source=ADOPTED).path
    assert stored
    stored.write_bytes(b"half")
    taken_in(path, make_run(), source=ADOPTED)
    assert stored.read_bytes() == path.read_bytes()


def test_a_persons_file_is_copied_and_a_trained_one_is_linked(tmp_path: Path):
    adopted = write_lora(tmp_path / "a.safetensors", seed=1)
    trained = write_lora(tmp_path / "b.safetensors", seed=2)
    kept = taken_in(adopted, make_run(), source=ADOPTED).path, taken_in(trained, make_run()).path
    assert all(kept)
    assert not kept[0].samefile(adopted)
    assert kept[1].samefile(trained)


def refused(path: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        taken_in(path, make_run())
    assert not Checkpoint.objects.exists()


def test_a_truncated_file_is_refused(tmp_path: Path, storage: Path):
    path = write_lora(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "cut.safetensors")
    assert list(storage.iterdir()) == []


def test_a_renamed_pickle_is_refused(tmp_path: Path):
    path = tmp_path / "pickle.safetensors"
    path.write_bytes(pickle.dumps({"lora_unet": [1, 2, 3]}))
    refused(path, "pickle.safetensors")


def test_a_lora_for_another_base_is_refused_by_name(tmp_path: Path):
    path = write_lora(tmp_path / "punk.safetensors")
    base = resolve_base("stable-diffusion-v1-5/stable-diffusion-v1-5")
    with pytest.raises(CheckpointError, match=r"punk.safetensors was made for .*, not for stable-diffusion-v1-5"):
        register(path, run=make_run(), epoch=1, source=ADOPTED, base=base)


def test_the_base_alone_is_one_checkpoint():
    base = base_for("miniature")
    assert base_alone(base) == base_alone(base)
    assert base_alone(base).path is None
    with pytest.raises(IntegrityError, match="punklab_checkpoint_base_once"), transaction.atomic():
        Checkpoint.objects.create(
            source=Checkpoint.Source.BASE, base_model=base.name, base_fingerprint=base.fingerprint
        )
