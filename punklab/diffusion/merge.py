"""A LoRA merged into the weights, and out again without a trace.

Merged weights cost nothing per step. The base comes back from a kept copy, bit for bit: subtracting what was added would
leave rounding behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from punklab.diffusion import kohya_keys
from punklab.diffusion.lora import ALPHA, DOWN, UP, LoraError

if TYPE_CHECKING:
    import torch


class MergedLora:
    """The place of one LoRA in the weights of a UNet and a text encoder."""

    def __init__(self, models: Mapping[kohya_keys.Part, Any]) -> None:
        self._weights = {
            name: model.get_submodule(path).weight
            for part, model in models.items()
            for name, path in kohya_keys.paths(model, part).items()
        }
        self._kept: dict[str, torch.Tensor] = {}  # the base's own weights, of modules that ever had a LoRA
        self._bent: set[str] = set()

    def merge(self, tensors: Mapping[str, torch.Tensor], strength: float) -> int:
        """Put a LoRA in kohya's names in place of whatever was merged before; the number of modules bent.

        Raises LoraError, with the base's weights in place, when a module has no counterpart or a value is no number."""
        import torch

        names = {name.removesuffix(DOWN) for name in tensors if name.endswith(DOWN)}
        missing = sorted(names - self._weights.keys())
        if missing:
            self.remove()
            raise LoraError(f"{len(missing)} of {len(names)} modules do not exist in the base (first {missing[0]}).")
        with torch.no_grad():
            deltas = {name: self._delta(name, tensors, strength) for name in sorted(names)}
            broken = [name for name, delta in deltas.items() if not torch.isfinite(delta).all()]
            if broken:
                self.remove()
                raise LoraError(f"The values at {broken[0]} are not numbers: this training diverged.")
            self._restore(self._bent - names)
            for name, delta in deltas.items():
                weight = self._weights[name]
                if name not in self._kept:
                    self._kept[name] = weight.detach().clone()
                weight.copy_(self._kept[name] + delta)  # summed in 32 bit, whatever the base has
        self._bent = names
        return len(names)

    def remove(self) -> None:
        """Leave the base's own weights, bit for bit."""
        self._restore(self._bent)
        self._bent = set()

    def _restore(self, names: set[str]) -> None:
        import torch

        with torch.no_grad():
            for name in names:
                self._weights[name].copy_(self._kept[name])

    def _delta(self, name: str, tensors: Mapping[str, torch.Tensor], strength: float) -> torch.Tensor:
        """up x down x alpha / rank x strength, in the weight's shape and in 32 bit."""
        weight = self._weights[name]
        down = tensors[name + DOWN].to(weight.device).float()
        up = tensors[name + UP].to(weight.device).float()
        rank = down.shape[0]
        alpha = float(tensors[name + ALPHA]) if name + ALPHA in tensors else float(rank)
        return (up.flatten(1) @ down.flatten(1)).reshape(weight.shape).mul_(strength * alpha / rank)
