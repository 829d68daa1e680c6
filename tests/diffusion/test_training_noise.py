from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from punklab.diffusion.schedules import Schedule
from punklab.diffusion.training_noise import NoiseTable, draw, min_snr_weights
from punklab.diffusion.training_plan import TrainingPlan

pytestmark = pytest.mark.diffusion
SHAPE = (64, 4, 24, 24)


@pytest.fixture
def plan(miniature) -> TrainingPlan:
    return TrainingPlan.from_config({}, base=miniature, train_data_dir=Path(), output_dir=Path(), state_dir=Path())


def noise_of(plan, epoch=1, number=0, **changes):
    return draw(replace(plan, **changes), SHAPE, 1000, epoch, number)[0]


def test_noise_follows_from_seed_and_place_alone(plan):
    assert noise_of(plan).equal(noise_of(plan))
    assert not noise_of(plan).equal(noise_of(plan, number=1))
    assert not noise_of(plan).equal(noise_of(plan, epoch=2))
    assert not noise_of(plan).equal(noise_of(plan, seed=1))


def test_steps_are_the_same_whatever_is_added_to_the_noise(plan):
    steps = draw(plan, SHAPE, 1000, 1, 0)[1]
    assert steps.equal(draw(replace(plan, noise_offset=0.1, multires_noise_iterations=6), SHAPE, 1000, 1, 0)[1])
    assert 0 <= int(steps.min()) < int(steps.max()) < 1000


def test_a_noise_offset_moves_whole_channels_by_its_size(plan):
    moved = noise_of(plan, noise_offset=0.5) - noise_of(plan)
    assert moved.std(dim=(2, 3)).max() < 1e-5
    assert 0.4 < float(moved.mean(dim=(2, 3)).std()) < 0.6


def test_multires_noise_has_a_deviation_of_one_and_is_coarser_with_more_layers(plan):
    def likeness_of_neighbours(noise):
        return float((noise[..., :-1] * noise[..., 1:]).mean() / noise.var())

    coarse = noise_of(plan, multires_noise_iterations=6, multires_noise_discount=0.8)
    fine = noise_of(plan, multires_noise_iterations=6, multires_noise_discount=0.3)
    assert float(coarse.std()) == pytest.approx(1, abs=1e-4)
    assert likeness_of_neighbours(noise_of(plan)) < 0.02 < likeness_of_neighbours(fine)
    assert likeness_of_neighbours(fine) < 0.2 < likeness_of_neighbours(coarse)


@pytest.mark.parametrize(("prediction", "zero_snr"), [("epsilon", False), ("v_prediction", True)])
def test_mixing_and_target_are_those_of_diffusers(plan, prediction, zero_snr):
    import torch
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_snr,
        clip_sample=False,
    )
    table = NoiseTable(scheduler.config, plan, "cpu")
    latents, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    steps = torch.tensor([0, 500, 999])
    assert torch.allclose(table.mixed(latents, noise, steps), scheduler.add_noise(latents, noise, steps), atol=1e-6)
    wanted = noise if prediction == "epsilon" else scheduler.get_velocity(latents, noise, steps)
    assert torch.allclose(table.target(latents, noise, steps), wanted, atol=1e-6)


def test_min_snr_weights_are_those_of_the_paper():
    import torch

    alphas = torch.tensor([0.99, 0.5, 0.1, 0.0], dtype=torch.float64)  # snr 99, 1, 1/9, 0
    velocity = min_snr_weights(alphas, 5, velocity=True)
    assert velocity.tolist() == pytest.approx([5 / 100, 1 / 2, 1 / 10, 0])
    noise = min_snr_weights(alphas[:3], 5, velocity=False)
    assert noise.tolist() == pytest.approx([5 / 99, 1, 1])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("constant", {}),
        ("constant_with_warmup", {"warmup": 5}),
        ("linear", {"warmup": 5}),
        ("cosine", {"warmup": 5}),
        ("cosine_with_restarts", {"warmup": 5, "cycles": 3}),
        ("polynomial", {"warmup": 5, "power": 2.0}),
    ],
)
def test_schedules_are_those_of_transformers(name, shape):
    import torch
    from transformers import get_scheduler

    rate, total = 1e-3, 40
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    extra = {"cosine_with_restarts": {"num_cycles": 3}, "polynomial": {"power": 2.0}}.get(name, {})
    warmup = shape.get("warmup", 0)
    theirs = get_scheduler(name, optimizer, warmup, total, scheduler_specific_kwargs=extra)
    ours = Schedule(name, **shape)
    for step in range(total):
        assert rate * ours.factor(step, total, rate) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_a_warmup_with_a_point_is_a_share_of_all_steps():
    assert Schedule("linear", warmup=0.1).factor(10, 200) == Schedule("linear", warmup=20).factor(10, 200) == 0.5
