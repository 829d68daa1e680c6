"""Prompts longer than one CLIP window, encoded as kohya's trainer encodes captions.

A text is tokenized once, cut into windows of 75 tokens, each between the two markers, and encoded window by window;
the states are joined again as one begin marker, the tokens, one end marker (kohya-ss/sd-scripts, strategy_sd.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from punklab.diffusion.request import TOKEN_LENGTHS, WINDOW

if TYPE_CHECKING:
    import torch


def token_ids(texts: Sequence[str], tokenizer: Any, max_token_length: int = WINDOW) -> torch.Tensor:
    """Token ids (n, windows, 77); what is longer than `max_token_length` is cut, what is shorter padded.

    Raises ValueError when `max_token_length` is none of 75, 150, 225, or the tokenizer pads with another token than
    its end marker (Stable Diffusion 1's and the miniature's do not)."""
    import torch

    if max_token_length not in TOKEN_LENGTHS:
        raise ValueError(f"max_token_length is {max_token_length}: 75, 150 and 225 are possible.")
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        raise ValueError("The tokenizer pads with another token than its end marker: not one of Stable Diffusion 1.")
    ids = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=max_token_length + 2, return_tensors="pt"
    ).input_ids
    windows = ids[:, 1:-1].reshape(len(texts), -1, WINDOW)
    begin = ids[:, :1, None].expand(-1, windows.shape[1], -1)
    end = ids[:, -1:, None].expand(-1, windows.shape[1], -1)
    return torch.cat([begin, windows, end], dim=2)


def hidden_states(ids: torch.Tensor, text_encoder: Any) -> torch.Tensor:
    """States (n, 77 | 152 | 227, width) of ids (n, windows, 77), on the text encoder's device; gradients flow."""
    import torch

    n, windows, length = ids.shape
    states = text_encoder(ids.reshape(-1, length).to(text_encoder.device))[0]
    states = states.reshape(n, windows, length, -1)
    tokens = states[:, :, 1:-1].reshape(n, windows * WINDOW, -1)
    return torch.cat([states[:, 0, :1], tokens, states[:, -1, -1:]], dim=1)


def encode(texts: Sequence[str], tokenizer: Any, text_encoder: Any, max_token_length: int = WINDOW) -> torch.Tensor:
    """What the UNet is told: (n, 77 | 152 | 227, width) for 75, 150 or 225 tokens."""
    return hidden_states(token_ids(texts, tokenizer, max_token_length), text_encoder)
