"""Noise and loss weights of a training step. Facts from kohya-ss/sd-scripts, library/custom_train_functions.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from punklab.diffusion.training_data import Purpose, torch_seed
from punklab.diffusion.training_plan import TrainingPlan

if TYPE_CHECKING:
    import torch


class NoiseTable:
    """What each of the base's time steps mixes: `signal` of the latents and `noise` of the noise, on the device."""

    def __init__(self, scheduler_config: Any, plan: TrainingPlan, device: str) -> None:
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler.from_config(scheduler_config)
        alphas = scheduler.alphas_cumprod.double()
        self.steps = len(alphas)
        self.predicts_velocity = scheduler.config.prediction_type == "v_prediction"
        self.signal = alphas.sqrt().float().to(device)
        self.noise = (1 - alphas).sqrt().float().to(device)
        gamma = plan.min_snr_gamma
        self.weights = None if gamma is None else min_snr_weights(alphas, gamma, self.predicts_velocity).to(device)

    def mixed(self, latents: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        signal, share = self.signal[steps].view(-1, 1, 1, 1), self.noise[steps].view(-1, 1, 1, 1)
        return signal * latents + share * noise

    def target(self, latents: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """What the UNet should answer: the velocity (arXiv 2202.00512) or the noise, as the base was trained."""
        if not self.predicts_velocity:
            return noise
        signal, share = self.signal[steps].view(-1, 1, 1, 1), self.noise[steps].view(-1, 1, 1, 1)
        return signal * noise - share * latents


def min_snr_weights(alphas: torch.Tensor, gamma: float, velocity: bool) -> torch.Tensor:
    """Loss weight of each time step (arXiv 2303.09556): min(snr, gamma) / snr for noise, / (snr + 1) for velocity."""
    import torch

    snr = alphas / (1 - alphas)
    limited = torch.clamp(snr, max=gamma)
    return (limited / (snr + 1 if velocity else snr)).float()


def draw(
    plan: TrainingPlan, shape: tuple[int, ...], n_steps: int, epoch: int, number: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of `shape` and time steps (n,) of one batch, on the CPU so that every device trains on the same."""
    import torch

    random = torch.Generator().manual_seed(torch_seed(plan.seed, Purpose.NOISE, epoch, number))
    noise = torch.randn(shape, generator=random)
    steps = torch.randint(0, n_steps, shape[:1], generator=random)
    if plan.noise_offset:
        noise = noise + plan.noise_offset * torch.randn((*shape[:2], 1, 1), generator=random)
    if plan.multires_noise_iterations:
        noise = multires(noise, plan.multires_noise_iterations, plan.multires_noise_discount, random)
    return noise, steps


def multires(noise: torch.Tensor, iterations: int, discount: float, random: torch.Generator) -> torch.Tensor:
    """Noise with coarser noise on top, each layer weaker by `discount`, scaled back to a deviation of 1.

    Each layer's grid is 2 to 4 times coarser than the one before, drawn anew per layer, until it has one cell.
    """
    import torch
    from torch.nn import functional

    height, width = noise.shape[2:]
    for layer in range(iterations):
        ratio = float(torch.rand((), generator=random)) * 2 + 2
        rows, columns = max(1, int(height / ratio**layer)), max(1, int(width / ratio**layer))
        coarse = torch.randn((*noise.shape[:2], rows, columns), generator=random)
        enlarged = functional.interpolate(coarse, size=(height, width), mode="bilinear")
        noise = noise + enlarged * discount**layer
        if rows == 1 or columns == 1:
            break
    return noise / noise.std()
