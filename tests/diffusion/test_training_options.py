"""Each option that the trainer honours changes weights, or the work, as it should."""

from __future__ import annotations

import math

import pytest

from punklab.diffusion.training import Trainer, TrainingError
from punklab.diffusion.training_plan import TrainingPlan

pytestmark = pytest.mark.diffusion
USUAL = {
    "network_dim": 4,
    "network_alpha": 2,
    "train_batch_size": 2,
    "max_train_epochs": 1,
    "caption_extension": ".txt",
    "unet_lr": 1e-3,
    "text_encoder_lr": 1e-3,
    "cache_latents": True,
    "output_name": "t",
}


@pytest.fixture(scope="module")
def trainer_of(miniature, parts, four_punks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainer")

    def build(**values):
        plan = TrainingPlan.from_config(
            {**USUAL, **values},
            base=miniature,
            train_data_dir=four_punks,
            output_dir=folder / "out",
            state_dir=folder / "state",
        )
        return Trainer(plan, parts())

    return build


def one_step(trainer):
    """The change that one optimizer step makes to each tensor."""
    before = {name: tensor.detach().clone() for name, tensor in trainer.adapter.tensors.items()}
    trainer.step()
    return {name: tensor.detach() - before[name] for name, tensor in trainer.adapter.tensors.items()}


def size(changes, part=""):
    return math.sqrt(sum(float(change.square().sum()) for name, change in changes.items() if part in name))


@pytest.fixture(scope="module")
def usual(trainer_of):
    return one_step(trainer_of())


def same(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_the_same_plan_makes_the_same_step(trainer_of, usual):
    assert same(one_step(trainer_of()), usual)
    assert size(usual, "lora_unet") > 0 < size(usual, "lora_te")


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 7},
        {"network_alpha": 1},
        {"min_snr_gamma": 5},
        {"noise_offset": 0.1},
        {"multires_noise_iterations": 6},
        {"multires_noise_iterations": 6, "multires_noise_discount": 0.8},
        {"flip_aug": True, "seed": 42},
        {"shuffle_caption": True},
        {"shuffle_caption": True, "keep_tokens": 1},
        {"caption_dropout_rate": 1.0},
        {"max_token_length": 150},
        {"train_batch_size": 1},
        {"gradient_accumulation_steps": 2},
        {"mixed_precision": "bf16"},
        {"optimizer_args": ["weight_decay=0.5"]},
        {"network_args": ["conv_dim=4", "conv_alpha=1"]},
    ],
    ids=lambda values: "-".join(values),
)
def test_an_option_changes_the_weights(trainer_of, usual, values):
    assert not same(one_step(trainer_of(**values)), usual)


def test_rates_belong_to_their_part(trainer_of, usual):
    changes = one_step(trainer_of(unet_lr=2e-3))
    assert size(changes, "lora_unet") == pytest.approx(2 * size(usual, "lora_unet"), rel=1e-3)
    assert size(changes, "lora_te") == pytest.approx(size(usual, "lora_te"), rel=1e-6)
    assert size(one_step(trainer_of(text_encoder_lr=0)), "lora_te") == 0


def test_a_part_that_is_left_out_has_no_tensors(trainer_of, usual):
    unet_only = one_step(trainer_of(network_train_unet_only=True))
    assert {name for name in usual if "lora_unet" in name} == unet_only.keys()
    text_only = one_step(trainer_of(network_train_text_encoder_only=True))
    assert {name for name in usual if "lora_te" in name} == text_only.keys()
    assert size(text_only) > 0


def test_dims_and_alphas_go_to_their_modules(trainer_of):
    adapter = trainer_of(network_args=["conv_dim=2", "conv_alpha=1.5"]).adapter
    ranks = {target.wide: adapter.tensors[f"{target.name}.lora_down.weight"].shape[0] for target in adapter.targets}
    alphas = {target.wide: adapter.alphas[target.name] for target in adapter.targets}
    assert ranks == {False: 4, True: 2}
    assert alphas == {False: 2.0, True: 1.5}


def test_the_schedule_sets_each_steps_rate(trainer_of):
    warm = trainer_of(lr_scheduler="constant_with_warmup", lr_warmup_steps=2)
    assert [size(one_step(warm)) == 0, size(one_step(warm)) > 0] == [True, True]
    assert {group["lr"] for group in warm.optimizer.param_groups} == {5e-4}


def test_gradients_are_clipped_to_the_norm(trainer_of, usual):
    # Adam's steps hardly depend on the gradient's size until it comes near its epsilon of 1e-8
    assert size(one_step(trainer_of(max_grad_norm=1e-9))) < 0.2 * size(usual)
    assert size(one_step(trainer_of(max_grad_norm=0))) > 0.9 * size(usual)


def test_accumulated_batches_make_one_step(trainer_of):
    trainer = trainer_of(train_batch_size=1, gradient_accumulation_steps=3)
    assert (trainer.length.batches, trainer.length.steps, trainer.length.total) == (4, 2, 2)
    trainer.step()
    assert (trainer.position.step, trainer.position.batch, len(trainer.position.losses)) == (1, 3, 3)
    trainer.step()
    assert (trainer.position.step, trainer.position.epoch, trainer.position.batch) == (2, 2, 0)


def test_gradient_checkpointing_changes_nothing_but_memory(trainer_of, usual):
    trainer = trainer_of(gradient_checkpointing=True)
    assert trainer.parts.unet.is_gradient_checkpointing
    changes = one_step(trainer)
    assert size({name: changes[name] - usual[name] for name in usual}) < 1e-3 * size(usual)


def test_cached_latents_are_made_once(trainer_of, usual, monkeypatch):
    trainer = trainer_of(cache_latents=False)
    encode = trainer.parts.vae.encode
    calls = []

    def counted(*args, **words):
        calls.append(args)
        return encode(*args, **words)

    monkeypatch.setattr(trainer.parts.vae, "encode", counted)
    changes = one_step(trainer)
    assert len(calls) == 1
    # the miniature's VAE spreads by e-15 only, so that sampling anew makes no visible difference
    assert size({name: changes[name] - usual[name] for name in usual}) < 0.02 * size(usual)

    cached = trainer_of(flip_aug=True)
    monkeypatch.setattr(cached.parts.vae, "encode", None)
    one_step(cached)


def test_text_states_are_made_once_where_nothing_changes_them(trainer_of, monkeypatch):
    trainer = trainer_of(network_train_unet_only=True, caption_dropout_rate=0.5)
    monkeypatch.setattr(trainer.parts.text_encoder, "forward", None)
    assert size(one_step(trainer)) > 0


def test_eight_bits_without_a_gpu_are_32_bits_and_it_is_said(trainer_of, usual):
    trainer = trainer_of(optimizer_type="AdamW8bit", mixed_precision="fp16")
    assert same(one_step(trainer), usual)
    assert [note.split(" ")[0] for note in trainer.notes] == ["AdamW8bit", "fp16"]


def test_a_training_can_start_from_a_checkpoint_at_its_strength(trainer_of, tmp_path):
    import torch

    from punklab.diffusion.lora import save_lora

    first = trainer_of(unet_lr=0.01, text_encoder_lr=0.01)
    one_step(first)
    path = tmp_path / "first.safetensors"
    save_lora(path, first.adapter.in_kohyas_names(torch.float32), {})
    loss = first.loss_of(first.batch(1, 1), 1, 1).detach()

    second = trainer_of(network_weights=str(path), network_alpha=8)
    for name, tensor in second.adapter.tensors.items():
        share = 1 if "lora_down" in name else 2 / 8
        assert torch.allclose(tensor, first.adapter.tensors[name] * share)
    again = second.loss_of(second.batch(1, 1), 1, 1).detach()
    assert float(again) == pytest.approx(float(loss), rel=1e-4)


def test_a_checkpoint_with_other_modules_or_dims_is_refused_by_name(trainer_of, tmp_path, random_lora):
    path = random_lora(tmp_path / "other.safetensors", rank=8, only="lora_te")
    with pytest.raises(TrainingError, match=r"other\.safetensors has a dim of 8"):
        trainer_of(network_weights=str(path))
    with pytest.raises(TrainingError, match="leaves alone"):
        trainer_of(network_weights=str(path), network_train_unet_only=True)
    path.write_bytes(b"PK rubbish")
    with pytest.raises(TrainingError, match=r"other\.safetensors"):
        trainer_of(network_weights=str(path))


def test_a_loss_or_gradient_that_is_no_number_stops_the_training(trainer_of):
    trainer = trainer_of()
    tensors = list(trainer.adapter.named("unet").values())
    tensors[0].register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match=r"gradient became .* step 1: the rates are too high"):
        trainer.step()
    tensors[0].data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"loss became .* step 1: the rates are too high"):
        trainer.step()
    assert trainer.position.step == 0


def test_a_plan_without_a_rate_is_refused(trainer_of):
    with pytest.raises(TrainingError, match="every rate is 0"):
        trainer_of(unet_lr=0, text_encoder_lr=0)
