"""Steps per second of the trainer against the same loop with nothing around it, on the miniature.

Same modules, prompt windows, batch and optimizer; the bare loop draws no order, cuts no captions, keeps no state, writes
no checkpoint and tells nobody. The two take turns step by step, so that a busy machine slows both alike. Ends with
status 1 when the trainer is more than 5 % slower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from punklab.diffusion.base import resolve_base
from punklab.diffusion.training import Progress, Trainer
from punklab.diffusion.training_plan import TrainingPlan
from punklab.diffusion.training_state import locked

BOUND = 0.95
CAPTION = (
    "pixel art, 24x24, portrait of bespoke punk lady, pink hair (#ff66cc), crown, hoop earrings, eyes (#663300), "
    "lips (#cc6666), neutral expression, skin (#f0c090), solid green background (#00ff00)"
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--windows", type=int, choices=(1, 2, 3), default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="training-bench-") as name:
        plan = _plan(Path(name), options)
        with locked(plan.state_dir):
            timing = measure(plan)
    sys.stdout.write(
        f"{plan.max_train_epochs} epochs of {options.pictures} pictures, batch {plan.train_batch_size}, "
        f"{options.windows} windows\ntrainer {1 / timing.ours:.2f} steps/s, bare loop {1 / timing.bare:.2f} steps/s, "
        f"ratio {timing.ratio:.3f} (at least {BOUND})\n"
    )
    return 0 if timing.ratio >= BOUND else 1


@dataclass
class Timing:
    """Seconds of each step of the two loops, side by side, and of each save (state and checkpoint)."""

    steps: list[float] = field(default_factory=list)
    bare_steps: list[float] = field(default_factory=list)
    saves: list[float] = field(default_factory=list)

    @property
    def bare(self) -> float:
        return median(self.bare_steps)

    @property
    def ratio(self) -> float:
        """The trainer's speed in terms of the bare loop's. Neighbours are compared, since load comes and goes."""
        slower = median(ours / bare for ours, bare in zip(self.steps, self.bare_steps, strict=True))
        saving = median(self.saves) * len(self.saves) / len(self.steps) / self.bare
        return 1 / (slower + saving)

    @property
    def ours(self) -> float:
        return self.bare / self.ratio


def measure(plan: TrainingPlan) -> Timing:
    """The trainer as it runs, and a bare step after each of its own."""
    trainer = Trainer(plan)
    bare_step = bare_loop(Trainer(plan))
    for _ in range(3):
        bare_step()
    timing = Timing()
    since = time.perf_counter()

    def take_turns(progress: Progress) -> None:
        nonlocal since
        now = time.perf_counter()
        if progress.checkpoint is not None:
            timing.saves.append(now - since)
        else:
            bare_step()
            if progress.step > 1:  # the first one warms up
                timing.steps.append(now - since)
                timing.bare_steps.append(time.perf_counter() - now)
        since = time.perf_counter()

    trainer.run(take_turns, lambda: False)
    return timing


def bare_loop(trainer: Trainer) -> Callable[[], None]:
    """One optimizer step per call, with the trainer's modules, latents and token ids and nothing else of it."""
    import torch
    from torch.nn import functional

    from punklab.diffusion.prompt import hidden_states, token_ids

    plan, parts, table = trainer.plan, trainer.parts, trainer.noise
    batches = list(trainer.data.batches(plan, 1))
    latents = torch.cat([trainer.latents.of(batch, 1, number) for number, batch in enumerate(batches)])
    captions = [caption for batch in batches for caption in batch.captions]
    ids = token_ids(captions, parts.tokenizer, plan.max_token_length)
    size, count = plan.train_batch_size, 0

    def step() -> None:
        nonlocal count
        chosen = slice(count % (len(latents) // size) * size, None)
        x, tokens = latents[chosen][:size], ids[chosen][:size]
        count += 1
        noise, steps = torch.randn_like(x), torch.randint(0, table.steps, (size,))
        signal, share = table.signal[steps].view(-1, 1, 1, 1), table.noise[steps].view(-1, 1, 1, 1)
        answer = parts.unet(signal * x + share * noise, steps, hidden_states(tokens, parts.text_encoder)).sample
        target = signal * noise - share * x if table.predicts_velocity else noise
        functional.mse_loss(answer, target).backward()
        torch.nn.utils.clip_grad_norm_(trainer.trained, plan.max_grad_norm, foreach=True)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)

    return step


def _plan(folder: Path, options: argparse.Namespace) -> TrainingPlan:
    pictures = folder / "data" / "1_punks"
    pictures.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(options.pictures):
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text(", ".join([CAPTION] * options.windows), encoding="utf-8")
    values = {
        "network_dim": 8,
        "network_alpha": 4,
        "train_batch_size": options.batch,
        "max_train_epochs": options.epochs,
        "save_every_n_epochs": 1,
        "caption_extension": ".txt",
        "max_token_length": 75 * options.windows,
        "shuffle_caption": True,
        "keep_tokens": 1,
        "cache_latents": True,
        "save_precision": "fp16",
        "output_name": "bench",
    }
    return TrainingPlan.from_config(
        values,
        base=resolve_base("miniature"),
        train_data_dir=folder / "data",
        output_dir=folder / "output",
        state_dir=folder / "state",
    )


if __name__ == "__main__":
    sys.exit(main())
