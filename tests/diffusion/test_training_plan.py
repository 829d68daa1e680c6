from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from punklab.diffusion.profiles import SD15
from punklab.diffusion.training_options import ACCEPTED
from punklab.diffusion.training_plan import TrainingError, TrainingPlan
from runs.config import lint, read_config, write_config
from runs.kohya import OPTIONS

HERE = Path("somewhere")


def plan_of(base, **values):
    return TrainingPlan.from_config(values, base=base, train_data_dir=HERE, output_dir=HERE, state_dir=HERE)


@pytest.fixture
def sd15(miniature):
    """The miniature's files under Stable Diffusion 1.5's profile: what a plan asks of a base needs no more."""
    return replace(miniature, profile=SD15)


def test_the_labs_past_config_is_honoured_as_it_stands(sd15, shared):
    past = json.loads((shared / "lab-settings.json").read_text())["past_config"]
    plan = plan_of(sd15, **past)
    assert (plan.network_dim, plan.network_alpha, plan.size, plan.max_token_length) == (32, 16, 512, 225)
    assert (plan.unet_lr, plan.text_encoder_lr, plan.optimizer) == (1e-4, 5e-5, "AdamW8bit")
    assert (plan.schedule.name, plan.schedule.cycles, plan.schedule.warmup) == ("cosine_with_restarts", 3, 100)
    assert (plan.min_snr_gamma, plan.noise_offset, plan.multires_noise_iterations) == (5, 0.05, 6)
    assert (plan.shuffle_caption, plan.keep_tokens, plan.caption_dropout_rate) == (True, 1, 0.02)
    assert lint(read_config(write_config({**past, "output_name": "x"})), ACCEPTED) == []


def test_every_option_that_is_accepted_is_one_of_kohyas():
    assert set(OPTIONS) >= ACCEPTED


def test_what_cannot_be_honoured_is_refused_by_name_and_all_at_once(sd15):
    with pytest.raises(TrainingError) as refusal:
        plan_of(
            sd15,
            color_aug=True,
            loss_type="huber",
            lr_scheduler="inverse_sqrt",
            optimizer_type="Lion",
            network_args=["block_dims=1"],
            clip_skip=2,
            batch_size=4,
            network_module="lycoris.kohya",
        )
    named = ("color_aug", "huber", "inverse_sqrt", "Lion", "block_dims", "clip_skip", "`batch_size`", "lycoris")
    assert [word for word in named if word not in str(refusal.value)] == []


@pytest.mark.parametrize(
    "values",
    [
        {"color_aug": False, "loss_type": "l2", "clip_skip": 1, "xformers": True, "max_data_loader_n_workers": 2},
        {"network_args": ["conv_dim=8"], "conv_dim": 8, "save_state": True, "token_warmup_min": 1},
    ],
)
def test_options_that_ask_for_nothing_are_let_through(sd15, values):
    plan_of(sd15, **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"network_dim": 0}, "network_dim"),
        ({"resolution": "512,384"}, "square"),
        ({"resolution": "500,500"}, "multiple of 8"),
        ({"max_token_length": 100}, "75, 150 or 225"),
        ({"lr_scheduler": "constant", "lr_warmup_steps": 10}, "constant_with_warmup"),
        ({"network_train_unet_only": True, "network_train_text_encoder_only": True}, "nothing to train"),
        ({"mixed_precision": "fp8"}, "fp16 or bf16"),
        ({"v_parameterization": True}, "v_parameterization"),
    ],
)
def test_values_that_make_no_sense_are_refused_before_anything_is_loaded(sd15, monkeypatch, tmp_path, values, words):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "epsilon"}')
    with pytest.raises(TrainingError, match=words):
        plan_of(replace(sd15, folder=tmp_path), **values)


def test_rates_and_size_that_a_config_leaves_out_are_the_bases(sd15, miniature):
    assert (plan_of(sd15).unet_lr, plan_of(sd15).size) == (SD15.unet_lr, 512)
    assert plan_of(miniature, resolution="512,512").size == miniature.profile.size
    plan = plan_of(sd15, learning_rate=2e-4, text_encoder_lr=[1e-5, 3e-5])
    assert (plan.unet_lr, plan.text_encoder_lr) == (2e-4, 1e-5)


def test_an_alpha_of_nothing_is_the_dim_as_in_kohya(sd15):
    assert plan_of(sd15, network_dim=8, network_alpha=0).network_alpha == 8
    plan = plan_of(sd15, network_args=["conv_dim=8", "conv_alpha=0.5"])
    assert (plan.conv_dim, plan.conv_alpha) == (8, 0.5)


def test_files_bear_kohyas_names(sd15):
    plan = plan_of(sd15, output_name="punks")
    assert [plan.checkpoint_path(3).name, plan.checkpoint_path(None).name] == [
        "punks-000003.safetensors",
        "punks.safetensors",
    ]
    plan = plan_of(sd15)
    assert [plan.checkpoint_path(3).name, plan.checkpoint_path(None).name] == [
        "epoch-000003.safetensors",
        "last.safetensors",
    ]


@pytest.mark.parametrize("value", [0.5, "x", -1, [], [1], {"a": 1}, float("nan"), True])
def test_values_of_any_kind_make_a_plan_or_a_sentence(sd15, value):
    for name in ACCEPTED:
        with contextlib.suppress(TrainingError):  # any other error fails
            plan_of(sd15, **{name: value})
