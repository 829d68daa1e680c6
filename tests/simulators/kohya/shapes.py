"""The tensors of a small LoRA for the miniature, as the stand-in writes them."""

from __future__ import annotations

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import resolve_base


def miniature_lora(dim: int = 4) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Names and shapes, and the metadata that names the base; an empty shape is the alpha."""
    base = resolve_base("miniature")
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in kohya_keys.shapes(base.files).items():
        if len(shape) == 2 and "attn2_to_" in name:
            shapes |= {name + lora.DOWN: (dim, shape[1]), name + lora.UP: (shape[0], dim), name + lora.ALPHA: ()}
    return shapes, dict(lora.base_metadata(base)) | {"ss_network_dim": str(dim), "ss_network_alpha": "2.0"}
