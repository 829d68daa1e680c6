"""A whole training: its files, what they say, and what happens when it is interrupted."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from punklab.diffusion import lora
from punklab.diffusion.kohya_keys import Part
from punklab.diffusion.training import Ending, Progress, TrainingError, TrainingPlan, train
from punklab.diffusion.training_data import read_training_data
from punklab.diffusion.training_length import checkpoints_of, length_of
from punklab.diffusion.training_state import LOCK_FILE, STATE_FILE, locked

pytestmark = pytest.mark.diffusion
CONFIG = {
    "network_module": "networks.lora",
    "network_dim": 4,
    "network_alpha": 2,
    "network_args": ["conv_dim=2", "conv_alpha=1"],
    "unet_lr": 2e-3,
    "text_encoder_lr": 1e-3,
    "lr_scheduler": "cosine",
    "train_batch_size": 2,
    "max_train_epochs": 3,
    "save_every_n_epochs": 1,
    "caption_extension": ".txt",
    "shuffle_caption": True,
    "keep_tokens": 1,
    "flip_aug": True,
    "noise_offset": 0.05,
    "cache_latents": True,
    "save_precision": "fp16",
    "seed": 11,
    "output_name": "punks",
}


def build_plan(base, data, folder, **values):
    return TrainingPlan.from_config(
        {**CONFIG, **values},
        base=base,
        train_data_dir=data,
        output_dir=folder / "out",
        state_dir=folder / "state",
    )


@pytest.fixture
def plan_of(miniature, training_folder, tmp_path):
    def build(**values):
        return build_plan(miniature, training_folder, tmp_path, **values)

    return build


def run(plan, stop_after=None):
    heard: list[Progress] = []
    outcome = train(plan, on_progress=heard.append, should_stop=lambda: heard[-1].step == stop_after)
    return outcome, heard


@pytest.fixture(scope="module")
def whole(miniature, four_punks, tmp_path_factory):
    """A training that nothing interrupted: plan, outcome and what was heard of it."""
    plan = build_plan(miniature, four_punks, tmp_path_factory.mktemp("whole"))
    return plan, *run(plan)


def tensors_of(path):
    from safetensors.torch import load_file

    return load_file(path)


def same_files(one, other):
    ours, theirs = tensors_of(one), tensors_of(other)
    return ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)


def test_every_epoch_is_saved_under_kohyas_names_with_what_it_was_made_of(whole, miniature):
    plan, outcome, heard = whole
    assert [path.name for path in outcome.checkpoints] == [
        "punks-000001.safetensors",
        "punks-000002.safetensors",
        "punks.safetensors",
    ]
    assert sorted(path.name for path in plan.output_dir.iterdir()) == sorted(path.name for path in outcome.checkpoints)
    assert (outcome.ending, outcome.step, outcome.total_steps) == (Ending.FINISHED, 6, 6)
    assert [progress.checkpoint for progress in heard if progress.checkpoint] == list(outcome.checkpoints)
    assert [progress.step for progress in heard if not progress.checkpoint] == [1, 2, 3, 4, 5, 6]
    assert [progress.epoch for progress in heard if not progress.checkpoint] == [1, 1, 2, 2, 3, 3]
    assert heard[0].eta_seconds > 0 == heard[-1].eta_seconds
    assert heard[0].images_per_second > 0 < heard[0].loss

    header = lora.read_header(outcome.checkpoints[1])
    lora.check_for_base(header, miniature)
    assert (header.dim, header.alpha, header.conv_dim, header.conv_alpha, header.epoch) == (4, 2.0, 2, 1.0, 2)
    said = header.metadata
    wanted = {
        "ss_network_dim": "4",
        "ss_network_alpha": "2.0",
        "ss_network_module": "networks.lora",
        "ss_unet_lr": "0.002",
        "ss_text_encoder_lr": "0.001",
        "ss_lr_scheduler": "cosine",
        "ss_epoch": "2",
        "ss_num_epochs": "3",
        "ss_steps": "4",
        "ss_max_train_steps": "6",
        "ss_num_train_images": "4",
        "ss_num_batches_per_epoch": "2",
        "ss_resolution": f"({plan.size}, {plan.size})",
        "ss_seed": "11",
        "ss_output_name": "punks",
        "ss_noise_offset": "0.05",
        "ss_min_snr_gamma": "None",
        "ss_new_sd_model_hash": miniature.fingerprint,
        "ss_optimizer": "torch.optim.adamw.AdamW",
    }
    assert {key: said.get(key) for key in wanted} == wanted
    assert json.loads(said["ss_dataset_dirs"]) == {"1_punks": {"n_repeats": 1, "img_count": 4}}
    assert json.loads(said["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "1.0"}
    assert json.loads(said["ss_tag_frequency"])["1_punks"]["pixel art"] == 4
    assert len(json.loads(said["punklab_caption_sha256"])) == 4
    assert float(said["ss_training_started_at"]) <= float(said["ss_training_finished_at"]) <= time.time()
    assert not same_files(*outcome.checkpoints[:2])


def test_a_checkpoint_loads_in_diffusers_whole_and_at_the_strength_it_was_trained_with(plan_of, miniature):
    import torch
    from diffusers import StableDiffusionPipeline

    plan = plan_of(max_train_epochs=1, save_precision="float", unet_lr=0.02, text_encoder_lr=0.02)
    outcome, _ = run(plan)
    (path,) = outcome.checkpoints
    header = lora.read_header(path)
    pipe = StableDiffusionPipeline.from_pretrained(
        miniature.files, safety_checker=None, local_files_only=True, dtype=torch.float32
    )
    latents, states = torch.randn(1, 4, 24, 24), torch.randn(1, 77, miniature.profile.text_width)
    with torch.no_grad():
        base = pipe.unet(latents, 500, states).sample
    pipe.load_lora_weights(str(path), adapter_name="it")
    models: dict[Part, Any] = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    loaded = lora.peft_tensors(models, torch.float32, "it")
    saved = tensors_of(path)
    assert loaded.keys() == saved.keys()
    assert all(loaded[name].equal(saved[name]) for name in saved)
    layers = [layer for model in models.values() for layer in model.modules() if "it" in getattr(layer, "lora_A", {})]
    assert len(layers) == len(header.modules)
    assert {layer.scaling["it"] for layer in layers} == {0.5}
    with torch.no_grad():
        assert not torch.allclose(pipe.unet(latents, 500, states).sample, base, atol=1e-4)


def test_a_stopped_training_goes_on_to_the_same_bytes(plan_of, whole):
    plan = plan_of()
    first, _ = run(plan, stop_after=3)
    assert (first.ending, first.step, len(first.checkpoints)) == (Ending.STOPPED, 3, 1)
    times = first.checkpoints[0].stat().st_mtime_ns
    second, heard = run(plan)
    assert (second.ending, second.step, heard[0].step) == (Ending.FINISHED, 6, 4)
    assert second.checkpoints[0].stat().st_mtime_ns == times
    assert second.loss == pytest.approx(whole[1].loss)
    for one, other in zip(whole[1].checkpoints, second.checkpoints, strict=True):
        assert same_files(one, other)


def test_a_training_that_has_ended_says_so_again_without_training(plan_of):
    plan = plan_of(max_train_epochs=1, resolution="512,512", mixed_precision="fp16")
    first, _ = run(plan)
    assert (plan.state_dir / STATE_FILE).stat().st_size < 10_000
    assert [note.split(";")[0] for note in first.notes] == [
        "The config's resolution is 512,512",
        "fp16 needs a CUDA GPU: trained in 32 bits.",
    ]
    assert run(plan) == (first, [])
    with pytest.raises(TrainingError, match="another training"):
        run(plan_of(max_train_epochs=2))


def train_and_tell(plan, stepped):
    def second_step(progress):
        if progress.step >= 2:  # by then the state of the first is on disk
            stepped.set()

    train(plan, on_progress=second_step, should_stop=lambda: False)


def test_a_training_killed_at_any_moment_ends_with_the_same_bytes(plan_of, whole):
    plan = replace(plan_of(), state_every_seconds=0)
    context = multiprocessing.get_context("spawn")
    stepped = context.Event()
    other = context.Process(target=train_and_tell, args=(plan, stepped))
    other.start()
    assert stepped.wait(120)
    time.sleep(random.random() * 0.5)  # into a step, a state or a checkpoint, another one each time
    other.kill()
    other.join()
    assert other.exitcode == -signal.SIGKILL
    resumed, heard = run(plan)
    assert resumed.ending is Ending.FINISHED
    assert all(progress.step > 1 for progress in heard)
    for one, other in zip(whole[1].checkpoints, resumed.checkpoints, strict=True):
        assert same_files(one, other)
    assert not [path.name for folder in (plan.output_dir, plan.state_dir) for path in folder.glob(".*")]


def hold(folder, held, done):
    with locked(folder):
        held.set()
        done.wait(20)


def test_two_trainers_never_work_on_one_state(plan_of):
    plan = plan_of()
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(plan.state_dir, held, done))
    other.start()
    assert held.wait(20)
    with pytest.raises(TrainingError, match="Another trainer is at work"):
        run(plan)
    done.set()
    other.join()
    with locked(plan.state_dir):
        assert (plan.state_dir / LOCK_FILE).exists()


def test_a_state_of_another_plan_or_other_data_is_not_gone_on_from(plan_of, training_folder):
    run(plan_of(), stop_after=1)
    with pytest.raises(TrainingError, match=r"another training \(seed, unet_lr differ\)"):
        run(plan_of(seed=12, unet_lr=1e-3))
    (training_folder / "1_punks" / "p0.txt").write_text("another caption\n")
    with pytest.raises(TrainingError, match=r"\(data differ\)"):
        run(plan_of())


def test_a_damaged_state_is_named(plan_of):
    plan = plan_of()
    run(plan, stop_after=1)
    path = plan.state_dir / STATE_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"state\.safetensors: the saved state is damaged .* remove it"):
        run(plan)


def test_another_trainings_files_are_never_written_over(plan_of):
    plan = plan_of()
    plan.output_dir.mkdir(parents=True)
    plan.checkpoint_path(2).write_bytes(b"another's")
    with pytest.raises(TrainingError, match=r"punks-000002\.safetensors: is there already"):
        run(plan)
    assert plan.checkpoint_path(2).read_bytes() == b"another's"


def test_too_little_room_is_said_before_training_begins(plan_of, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=400 * 10**6))
    with pytest.raises(TrainingError, match=r"needs 5\d\d MB of free disk .* 400 MB are free"):
        run(plan_of())


def test_a_disk_that_fills_up_keeps_the_last_state(plan_of, monkeypatch):
    plan = plan_of(max_train_epochs=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("punklab.files.os.fsync", full)
        with pytest.raises(TrainingError, match=r"No space left on device.* make room"):
            run(plan)
    assert not list(plan.output_dir.glob("*"))
    outcome, _ = run(plan)
    assert len(outcome.checkpoints) == 1


def test_epochs_and_files_are_reckoned_as_in_kohya(plan_of):
    data = read_training_data(plan_of())

    def reckoned(**values):
        plan = plan_of(**values)
        length = length_of(plan, data)
        names = [(path.name.removesuffix(".safetensors"), epoch) for path, epoch in checkpoints_of(plan, length)]
        return (length.batches, length.steps, length.total, length.epochs), names

    assert reckoned(save_every_n_epochs=2) == ((2, 2, 6, 3), [("punks-000002", 2), ("punks", 3)])
    assert reckoned(save_every_n_epochs=None) == ((2, 2, 6, 3), [("punks", 3)])
    assert reckoned(train_batch_size=3, max_train_epochs=None, max_train_steps=3)[0] == (2, 2, 3, 2)
    assert reckoned(train_batch_size=1, gradient_accumulation_steps=3)[0] == (4, 2, 6, 3)
