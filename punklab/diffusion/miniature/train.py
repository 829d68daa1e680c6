"""The recipe of the miniature: from nothing but the procedural artist's punks to a Stable Diffusion folder.

First the text encoder alone learns to read colour codes (a head, thrown away later, tells the colour at each code's last
digit); then text encoder and UNet learn to draw. Latents are an affine map of cells, so training needs no VAE.
"""

from __future__ import annotations

import logging
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from punklab.diffusion.miniature import networks, pool, tokenizer, vae
from punklab.diffusion.miniature.codes import CodeFinder, seed_embeddings
from punklab.diffusion.miniature.profile import write_profile
from punklab.diffusion.prompt import hidden_states
from punklab.diffusion.request import WINDOW

log = logging.getLogger(__name__)

READING_SHARE = 0.07
EMPTY_PROMPTS = 0.1
WINDOW_SHARES = (0.5, 0.25, 0.25)


@dataclass(frozen=True)
class Recipe:
    """What differs between a laptop and a large GPU."""

    batch: int
    pool: int
    rate: float
    text_rate: float
    half: bool

    @staticmethod
    def for_device(device: str) -> Recipe:
        if device.startswith("cuda"):
            return Recipe(batch=512, pool=450_000, rate=1.5e-3, text_rate=4e-4, half=True)
        return Recipe(batch=32, pool=40_000, rate=1.2e-3, text_rate=2e-4, half=False)


def build(
    out: Path, minutes: float, device: str = "cpu", seed: int = 1, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Train for `minutes` in all and write the pipeline folder and its `profile.json`; returns the profile.

    The result depends on the machine's speed, for the schedule follows the clock; `seed` decides everything else.
    """
    import torch

    started = time.monotonic()
    recipe = recipe or Recipe.for_device(device)
    torch.manual_seed(seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    tokens = tokenizer.build_tokenizer()
    drawn = pool.draw_pool(recipe.pool, tokens, seed, processes=max(1, (os.cpu_count() or 2) - 1))
    log.info("%d punks drawn after %.0f s", len(drawn.cells), time.monotonic() - started)
    lesson = _Lesson(drawn, tokens, recipe, torch.device(device))
    left = minutes * 60 - (time.monotonic() - started)
    lesson.read(left * READING_SHARE)
    left = minutes * 60 - (time.monotonic() - started)
    steps = lesson.draw(left)
    networks.save_pipeline(out, lesson.vae, lesson.kept_text, tokens, lesson.kept_unet)
    return write_profile(
        out, {"steps": steps, "batch": recipe.batch, "seed": seed, "minutes": minutes, "device": device}
    )


class _Lesson:
    """Networks, optimiser and data of one training."""

    def __init__(self, drawn: pool.Pool, tokens: Any, recipe: Recipe, device: Any) -> None:
        import torch

        self.recipe, self.device = recipe, device
        sample = drawn.cells[:2000].reshape(-1, 3) / 127.5 - 1
        self.vae = vae.build_vae(sample)
        self.text = networks.build_text_encoder(len(tokens)).to(device)
        self.unet = networks.build_unet().to(device, memory_format=torch.channels_last)
        self.reader = torch.nn.Linear(networks.WIDTH, 3).to(device)
        matrix, offset = vae.latent_map(self.vae)
        self.matrix, self.offset = matrix.to(device), offset.to(device)
        self.cells, self.labels = torch.from_numpy(drawn.cells).to(device), torch.from_numpy(drawn.labels).to(device)
        self.rows = torch.from_numpy(drawn.rows).to(device)
        self.fitting = [
            torch.from_numpy(np.flatnonzero(drawn.lengths <= WINDOW * windows)).to(device) for windows in (1, 2, 3)
        ]
        self.weights = torch.from_numpy(pool.part_weights()).to(device)
        self.codes = CodeFinder(tokens, device)
        self.end = tokens.eos_token_id
        seed_embeddings(self.text, tokens)
        self.kept_unet, self.kept_text = deepcopy(self.unet), deepcopy(self.text)
        self.noising = _Noising(device)
        self.rng = random.Random(recipe.batch)

    def read(self, seconds: float) -> None:
        """Teach the text encoder alone the colours of codes."""
        import torch

        groups = [{"params": [*self.text.parameters(), *self.reader.parameters()], "top": 1.5e-3}]
        optimiser = self._optimiser(groups, 0.98)
        for step, _ in self._clock(seconds, optimiser, warmup=60):
            rows, _, windows = self._batch(self._windows())
            loss = self._reading_loss(rows, self._states(rows, windows))
            _descend(optimiser, loss)
            if step % 100 == 0:
                log.info("reading step %d loss %.4f", step, loss.item())
        with torch.no_grad():
            for kept, now in zip(self.kept_text.parameters(), self.text.parameters(), strict=True):
                kept.copy_(now)

    def draw(self, seconds: float) -> int:
        """Teach text encoder and UNet to draw; returns the number of steps. The kept weights are a running mean."""
        import torch

        words = [*self.text.parameters(), *self.reader.parameters()]
        groups = [
            {"params": [*self.unet.parameters()], "top": self.recipe.rate},
            {"params": words, "top": self.recipe.text_rate},
        ]
        optimiser = self._optimiser(groups, 0.99)
        work = [_recorded(self._drawing_step, self.device, optimiser, windows) for windows in (1, 2, 3)]
        step, total = 0, torch.zeros((), device=self.device)
        for step, share in self._clock(seconds, optimiser, warmup=200):
            total += work[self._windows() - 1]()
            self._keep(step)
            if step % 200 == 0:
                log.info("drawing step %d, %.0f %%, loss %.4f", step, 100 * share, total.item() / 200)
                total.zero_()
        return step

    def _drawing_step(self, optimiser: Any, windows: int) -> Any:
        import torch

        rows, picked, _ = self._batch(windows, EMPTY_PROMPTS)
        states = self._states(rows, windows)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.half, cache_enabled=False):
            loss = self._drawing_loss(picked, states)
        _descend(optimiser, loss + 0.1 * self._reading_loss(rows, states))
        return loss.detach()

    def _optimiser(self, groups: list[dict[str, Any]], second: float) -> Any:
        import torch

        cuda = self.device.type == "cuda"
        for group in groups:
            group["lr"] = torch.zeros((), device=self.device) if cuda else 0.0
        return torch.optim.AdamW(groups, betas=(0.9, second), weight_decay=0.01, fused=cuda, capturable=cuda)

    def _clock(self, seconds: float, optimiser: Any, warmup: int) -> Iterator[tuple[int, float]]:
        """Steps from 1, at least one, and the share of time gone; rates are warmed up, then lowered along a cosine."""
        started, step, share = time.monotonic(), 0, 0.0
        while share < 1:
            step += 1
            for group in optimiser.param_groups:
                rate = group["top"] * min(1, step / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
                if isinstance(group["lr"], float):
                    group["lr"] = rate
                else:
                    group["lr"].fill_(rate)
            yield step, share
            share = (time.monotonic() - started) / max(seconds, 1e-3)

    def _windows(self) -> int:
        return self.rng.choices((1, 2, 3), WINDOW_SHARES)[0]

    def _batch(self, windows: int, empty: float = 0.0) -> tuple[Any, Any, int]:
        """Token rows that fit, the punks' numbers, and the windows; a share `empty` of the rows holds nothing."""
        import torch

        fitting = self.fitting[windows - 1]
        picked = fitting[torch.randint(len(fitting), (self.recipe.batch,), device=self.device)]
        rows = self.rows[picked].long()
        if empty:
            blank = torch.rand(len(rows), 1, device=self.device) < empty
            rows = torch.where(blank, torch.full_like(rows, self.end), rows)
        return rows, picked, windows

    def _states(self, rows: Any, windows: int) -> Any:
        """What the UNet is told by token rows (n, 225) read in 1, 2 or 3 windows."""
        import torch

        tokens = rows[:, : WINDOW * windows].reshape(len(rows), windows, WINDOW)
        end = torch.full_like(tokens[:, :, :1], self.end)
        return hidden_states(torch.cat([end - 1, tokens, end], dim=2), self.text)

    def _drawing_loss(self, picked: Any, states: Any) -> Any:
        import torch

        cells = self.cells[picked].float() / 127.5 - 1
        latents = (cells @ self.matrix.T + self.offset).permute(0, 3, 1, 2).contiguous()
        steps = torch.randint(0, 1000, (len(picked),), device=self.device)
        noise = torch.randn_like(latents)
        noisy, velocity = self.noising(latents, noise, steps)
        told = self.unet(noisy, steps, states, return_dict=False)[0]
        weights = self.weights[self.labels[picked].long()][:, None]
        return ((told.float() - velocity) ** 2 * weights).mean()

    def _reading_loss(self, rows: Any, states: Any) -> Any:
        import torch

        colours, mask = self.codes(rows[:, : states.shape[1] - 2])
        told = self.reader(states[:, 1:-1].float())
        errors = torch.nn.functional.smooth_l1_loss(told, colours, reduction="none", beta=0.1).mean(-1)
        return 6 * (errors * mask).sum() / mask.sum().clamp(min=1)

    def _keep(self, step: int) -> None:
        import torch

        kept = [*self.kept_unet.parameters(), *self.kept_text.parameters()]
        now = [*self.unet.parameters(), *self.text.parameters()]
        decay = min(0.999, (1 + step) / (20 + step))
        with torch.no_grad():
            torch._foreach_lerp_(kept, now, 1 - decay)


def _descend(optimiser: Any, loss: Any) -> None:
    import torch

    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 1.0)
    optimiser.step()


def _recorded(work: Callable[..., Any], device: Any, *arguments: Any) -> Callable[[], Any]:
    """The work as a CUDA graph: so small a network would otherwise spend its time launching kernels. Plain elsewhere."""
    import torch

    if device.type != "cuda":
        return lambda: work(*arguments)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            work(*arguments)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work(*arguments)

    def replay() -> Any:
        graph.replay()
        return result

    return replay


class _Noising:
    """Noisy latents and the velocity to tell, along the renderer's own schedule (the last step holds no picture)."""

    def __init__(self, device: Any) -> None:
        kept = networks.build_scheduler().alphas_cumprod.to(device)
        self.signal, self.noise = kept.sqrt(), (1 - kept).sqrt()
        self.signal[-1], self.noise[-1] = 0.0, 1.0

    def __call__(self, latents: Any, noise: Any, steps: Any) -> tuple[Any, Any]:
        signal, sigma = self.signal[steps][:, None, None, None], self.noise[steps][:, None, None, None]
        return signal * latents + sigma * noise, signal * noise - sigma * latents
