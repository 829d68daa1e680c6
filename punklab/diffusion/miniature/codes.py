"""Colour codes inside token rows: where they stand, what colour they mean, and a start for their embeddings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from punklab.diffusion.request import WINDOW


class CodeFinder:
    """Finds the colour codes in token rows: at each code's last digit, its colour."""

    def __init__(self, tokens: Any, device: Any) -> None:
        import torch

        values, starts = np.full(len(tokens), -1), np.zeros(len(tokens), dtype=bool)
        for token, number in tokens.get_vocab().items():
            plain = token.removesuffix("</w>")
            if re.fullmatch(r"[0-9a-f]", plain):
                values[number] = int(plain, 16)
            starts[number] = plain.endswith("#")
        self.values, self.starts = torch.from_numpy(values).to(device), torch.from_numpy(starts).to(device)

    def __call__(self, rows: Any) -> tuple[Any, Any]:
        """Colours (n, length, 3) in -1..1 and a mask (n, length) of the last digits of whole codes within one chunk."""
        import torch

        digits = torch.stack([self.values[rows.roll(shift, 1)] for shift in range(5, -1, -1)], dim=-1)
        place = torch.arange(rows.shape[1], device=rows.device)
        whole = (place >= 6) & (place // WINDOW == (place - 5) // WINDOW)
        mask = self.starts[rows.roll(6, 1)] & (digits >= 0).all(-1) & whole
        channels = digits[..., 0::2] * 16 + digits[..., 1::2]
        return channels / 127.5 - 1, mask.float()


def seed_embeddings(text_encoder: Any, tokens: Any) -> None:
    """Start positions as sines and digits along one direction by value, both spellings of a digit alike."""
    import torch

    model = getattr(text_encoder, "text_model", text_encoder)
    places = model.embeddings.position_embedding.weight
    width = places.shape[1]
    angles = torch.arange(77)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    direction = torch.randn(width, generator=torch.Generator().manual_seed(5)) * 0.05
    vocabulary = tokens.get_vocab()
    with torch.no_grad():
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(77, width) * 0.02
        places.copy_(waves.to(places.device))
        table = model.embeddings.token_embedding.weight
        for digit in "0123456789abcdef":
            start = table[vocabulary[digit]] * 0.5 + direction.to(table.device) * (int(digit, 16) / 7.5 - 1)
            for spelling in (digit, digit + "</w>"):
                table[vocabulary[spelling]] = start
