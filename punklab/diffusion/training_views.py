"""Pictures as latents and captions as text states: made once where nothing changes them, else for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from punklab.diffusion.prompt import encode, hidden_states, token_ids
from punklab.diffusion.training_adapter import Parts
from punklab.diffusion.training_data import Batch, Purpose, TrainingData, torch_seed
from punklab.diffusion.training_plan import TrainingError, TrainingPlan

if TYPE_CHECKING:
    import torch

_CACHED_AT_ONCE = 8


class Latents:
    """Latents of the pictures at the training size, scaled as the UNet knows them.

    A VAE gives a distribution; kohya samples it once when latents are cached and anew for every batch when not, and so
    does this, each sample from a seed of its own.
    """

    def __init__(self, parts: Parts, plan: TrainingPlan, data: TrainingData) -> None:
        import torch

        self._vae, self._plan, self._data = parts.vae, plan, data
        self._scale = float(parts.vae.config.scaling_factor)
        self._cached: dict[bool, torch.Tensor] = {}
        if plan.cache_latents:
            for flipped in (False, True) if plan.flip_aug else (False,):
                made = [
                    self._encoded([position], [flipped], torch_seed(plan.seed, Purpose.LATENT, position, int(flipped)))
                    for position in range(len(data.paths))
                ]
                self._cached[flipped] = torch.cat(made)

    def of(self, batch: Batch, epoch: int, number: int) -> torch.Tensor:
        """(n, channels, height, width) on the plan's device."""
        import torch

        if not self._cached:
            seed = torch_seed(self._plan.seed, Purpose.LATENT, 0, 0, epoch, number)
            return self._encoded(batch.pictures, batch.flips, seed)
        if not any(batch.flips):
            return self._cached[False][list(batch.pictures)]
        chosen = zip(batch.pictures, batch.flips, strict=True)
        return torch.stack([self._cached[flipped][position] for position, flipped in chosen])

    def _encoded(self, positions: Sequence[int], flips: Sequence[bool], seed: int) -> torch.Tensor:
        import torch

        pictures = [enlarged(self._data.cells[position], self._plan.size) for position in positions]
        turned = [picture[:, ::-1] if flip else picture for picture, flip in zip(pictures, flips, strict=True)]
        pixels = torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2).to(self._plan.device).float() / 127.5 - 1
        with torch.no_grad():
            found = self._vae.encode(pixels, return_dict=False)[0]
        random = torch.Generator().manual_seed(seed)
        noise = torch.randn(found.mean.shape, generator=random).to(found.mean.device)
        latents: torch.Tensor = (found.mean + found.std * noise) * self._scale
        if not bool(torch.isfinite(latents).all()):
            names = ", ".join(str(self._data.paths[position]) for position in positions)
            raise TrainingError(f"{names}: the base model's VAE gives no numbers for it; take it out.")
        return latents


class Texts:
    """Text states of captions, read to the plan's number of tokens in windows of 75, as kohya encodes them."""

    def __init__(self, parts: Parts, plan: TrainingPlan, data: TrainingData) -> None:
        self._tokenizer, self._encoder, self._length = parts.tokenizer, parts.text_encoder, plan.max_token_length
        self._trained = plan.trains_text_encoder
        self._known: dict[str, torch.Tensor] = {}
        if not plan.shuffle_caption:
            texts = sorted({*data.captions, *([""] if plan.caption_dropout_rate else [])})
            made = self._ids(texts) if self._trained else self._states(texts)
            self._known = dict(zip(texts, made, strict=True))

    def of(self, batch: Batch) -> torch.Tensor:
        """(n, 77 | 152 | 227, width); gradients flow where the text encoder is trained."""
        import torch

        if self._trained:
            ids = (
                torch.stack([self._known[text] for text in batch.captions])
                if self._known
                else self._ids(batch.captions)
            )
            return hidden_states(ids, self._encoder)
        if self._known:
            return torch.stack([self._known[text] for text in batch.captions])
        with torch.no_grad():
            return encode(batch.captions, self._tokenizer, self._encoder, self._length)

    def _ids(self, texts: Sequence[str]) -> torch.Tensor:
        return token_ids(texts, self._tokenizer, self._length)

    def _states(self, texts: Sequence[str]) -> list[Any]:
        import torch

        states: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(texts), _CACHED_AT_ONCE):
                some = texts[start : start + _CACHED_AT_ONCE]
                states.extend(encode(some, self._tokenizer, self._encoder, self._length))
        return states


def enlarged(cells: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3): each cell a square with hard edges; where 24 does not divide the size, cells differ by a pixel."""
    picture = Image.fromarray(np.ascontiguousarray(cells)).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(picture)
