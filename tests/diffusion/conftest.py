from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import BaseModel, resolve_base

PARTS = ("pink hair", "eyes", "lips", "skin", "solid green background")


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


@pytest.fixture(scope="session")
def four_punks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seeded 24x24 pictures with captions of six parts each, in a folder of one repeat; not to be changed."""
    folder = tmp_path_factory.mktemp("training") / "1_punks"
    folder.mkdir()
    random = np.random.default_rng(7)
    for number in range(4):
        cells = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(cells).save(folder / f"p{number}.png")
        colours = ["#" + bytes(cells[0, part]).hex() for part in range(5)]
        parts = ", ".join(f"{part} ({colour})" for part, colour in zip(PARTS, colours, strict=True))
        (folder / f"p{number}.txt").write_text(f"pixel art, {parts}\n")
    return folder.parent


@pytest.fixture
def training_folder(four_punks: Path, tmp_path: Path) -> Path:
    """A copy of `four_punks`, to be changed."""
    shutil.copytree(four_punks, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def _loaded_parts(miniature: BaseModel) -> Any:
    from punklab.diffusion.training_adapter import load_parts
    from punklab.diffusion.training_plan import TrainingPlan

    nowhere = Path()
    plan = TrainingPlan.from_config({}, base=miniature, train_data_dir=nowhere, output_dir=nowhere, state_dir=nowhere)
    return load_parts(plan)


@pytest.fixture(scope="session")
def parts(_loaded_parts: Any) -> Callable[[], Any]:
    """Gives a fresh copy of the miniature's models, for a trainer to change."""
    return lambda: copy.deepcopy(_loaded_parts)
