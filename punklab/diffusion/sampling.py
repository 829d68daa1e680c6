"""From noise to latents: schedulers by name, and the denoising loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def read_config(folder: Path) -> dict[str, Any]:
    """The base's own scheduler, as it was published: betas, prediction type, spacing."""
    config: dict[str, Any] = json.loads((folder / "scheduler_config.json").read_text(encoding="utf-8"))
    return config


def make_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """A scheduler by the name that requests carry, with the betas and prediction type of the base's own."""
    import diffusers

    if name == "dpmsolver++":
        return diffusers.DPMSolverMultistepScheduler.from_config(
            config, algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=False
        )
    if name == "euler":
        return diffusers.EulerDiscreteScheduler.from_config(config)
    if name == "unipc":
        return diffusers.UniPCMultistepScheduler.from_config(config)
    if name == "ddim":
        # the class clips latents to -1..1 by default, which breaks every picture
        return diffusers.DDIMScheduler.from_config(config, clip_sample=False)
    raise ValueError(f"There is no scheduler {name!r}.")


def first_noise(seeds: Sequence[int], channels: int, height: int, width: int) -> torch.Tensor:
    """Noise (n, channels, height, width), each image's by its own CPU generator: a seed means the same everywhere."""
    import torch

    shape = (1, channels, height, width)
    return torch.cat([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds])


def denoise(
    unet: Any, scheduler: Any, noise: torch.Tensor, states: torch.Tensor, *, steps: int, guidance: float
) -> torch.Tensor:
    """Latents of the shape of `noise`, 32 bit.

    `states` are the prompts' (n, tokens, width), or with guidance the negative prompts' before them (2n, tokens, width)."""
    import torch

    guided = len(states) == 2 * len(noise)
    scheduler.set_timesteps(steps, device=noise.device)
    latents = noise * scheduler.init_noise_sigma
    with _prompts_projected_once(unet, states):
        for t in scheduler.timesteps:
            given = scheduler.scale_model_input(torch.cat([latents, latents]) if guided else latents, t)
            said = unet(given.to(states.dtype), t, encoder_hidden_states=states, return_dict=False)[0].float()
            if guided:
                without, with_prompt = said.chunk(2)
                said = without + guidance * (with_prompt - without)
            latents = scheduler.step(said, t, latents, return_dict=False)[0]
    return latents


@contextmanager
def _prompts_projected_once(unet: Any, states: torch.Tensor) -> Iterator[None]:
    """Keys and values of the prompts' states are the same at every step: with three windows a tenth of the work."""
    projections = [
        projection
        for name, module in unet.named_modules()
        if name.endswith(".attn2")
        for projection in (module.to_k, module.to_v)
    ]
    for projection in projections:
        projection.forward = _remembering(projection.forward, states)
    try:
        yield
    finally:
        for projection in projections:
            del projection.forward  # the class's own again


def _remembering(project: Callable[[Any], Any], states: torch.Tensor) -> Callable[[Any], Any]:
    known: list[Any] = []

    def forward(given: Any) -> Any:
        if given is not states:
            return project(given)
        if not known:
            known.append(project(given))
        return known[0]

    return forward
