from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import BaseModel, resolve_base


@pytest.fixture(scope="session")
def miniature() -> BaseModel:
    return resolve_base("miniature")


@pytest.fixture(scope="session")
def random_lora(miniature: BaseModel) -> Callable[..., Path]:
    """Writes a LoRA of seeded noise for every module of the miniature (or `only` those whose name holds a text)."""
    import torch

    def write(path: Path, *, seed: int = 1, rank: int = 4, alpha: float = 2.0, only: str = "", **metadata: str) -> Path:
        random = torch.Generator().manual_seed(seed)
        tensors: dict[str, Any] = {}
        for name, shape in kohya_keys.shapes(miniature.files).items():
            if only not in name or ("attentions" not in name and "resnets" not in name and "lora_te" not in name):
                continue
            ones = (1,) * (len(shape) - 2)
            tensors[name + lora.DOWN] = torch.randn(rank, *shape[1:], generator=random) * 0.1
            tensors[name + lora.UP] = torch.randn(shape[0], rank, *ones, generator=random) * 0.1
            tensors[name + lora.ALPHA] = torch.tensor(alpha)
        lora.save_lora(path, tensors, {**lora.base_metadata(miniature), "ss_network_dim": str(rank), **metadata})
        return path

    return write


@pytest.fixture
def sha256() -> Callable[[Path], str]:
    return lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
