"""Names of LoRA modules: kohya's in files, module paths in diffusers' and transformers' models.

kohya's name is a prefix and the module's path with underscores for dots. It cannot be split again by rule
(`to_out_0`, `down_blocks_0`), so the way back goes through the modules that a model really has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from punklab.diffusion import header
from punklab.diffusion.profiles import BaseProfile

Part = Literal["unet", "text_encoder"]
PARTS: tuple[Part, Part] = ("unet", "text_encoder")
PREFIXES: Mapping[Part, str] = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
# transformers 5 has no `text_model` level in CLIPTextModel; kohya and every other tool name it
TEXT_LEVEL = "text_model."


@dataclass(frozen=True, kw_only=True)
class Target:
    """A module that a LoRA bends."""

    name: str  # kohya's, without .lora_down and the like
    part: Part
    path: str  # model.get_submodule(path)
    wide: bool  # a convolution larger than 1x1: kohya's conv_dim and conv_alpha count for it


def kohya_name(part: Part, path: str) -> str:
    """kohya's name of the module at `path` of the UNet or text encoder."""
    if part == "text_encoder" and not path.startswith(TEXT_LEVEL):
        path = TEXT_LEVEL + path
    return PREFIXES[part] + path.replace(".", "_")


def paths(model: Any, part: Part) -> dict[str, str]:
    """kohya's name to module path, for every Linear and Conv2d of a model."""
    return {
        kohya_name(part, path): path
        for path, module in model.named_modules()
        if module.__class__.__name__ in ("Linear", "Conv2d")
    }


def targets(unet: Any, text_encoder: Any, profile: BaseProfile, *, conv: bool) -> list[Target]:
    """The modules that a training bends, as kohya's networks.lora chooses them: Linear and 1x1 convolutions below the
    profile's classes; with `conv` (conv_dim is set, or the profile always does) those below its conv classes and the
    larger convolutions too."""
    conv = conv or profile.conv_always
    classes = profile.unet_targets + (profile.unet_conv_targets if conv else ())
    found = [*_below(unet, "unet", classes), *_below(text_encoder, "text_encoder", profile.text_encoder_targets)]
    return [target for target in found if conv or not target.wide]


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """kohya's name to weight shape, for every module of the base model in `folder`, from the files' headers alone.

    Raises header.HeaderError when a file is damaged, FileNotFoundError when there is none."""
    found: dict[str, tuple[int, ...]] = {}
    for part in PARTS:
        facts = header.read(weights_file(folder / part)).tensors
        for name, tensor in facts.items():
            path, _, kind = name.rpartition(".")
            embedding = part == "text_encoder" and "embeddings." in name
            if kind == "weight" and len(tensor.shape) in (2, 4) and not embedding:
                found[kohya_name(part, path)] = tensor.shape
    return found


def weights_file(folder: Path) -> Path:
    """The safetensors file of one part of a base model; the full one before its 16-bit variant."""
    for pattern in ("*model.safetensors", "*model.fp16.safetensors"):
        for path in sorted(folder.glob(pattern)):
            return path
    raise FileNotFoundError(f"No safetensors weights in {folder}.")


def _below(model: Any, part: Part, classes: Iterable[str]) -> list[Target]:
    classes = set(classes)
    found: dict[str, Target] = {}
    for path, module in model.named_modules():
        if module.__class__.__name__ not in classes:
            continue
        for below, layer in module.named_modules():
            kind = layer.__class__.__name__
            if kind in ("Linear", "Conv2d"):
                name = kohya_name(part, f"{path}.{below}")
                wide = kind == "Conv2d" and tuple(layer.kernel_size) != (1, 1)
                found[name] = Target(name=name, part=part, path=f"{path}.{below}", wide=wide)
    return list(found.values())
