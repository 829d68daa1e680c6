"""LoRA files: read, check against a base model, write. torch is needed for writing only."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from punklab.diffusion import header, kohya_keys
from punklab.diffusion.base import BaseModel
from punklab.diffusion.profiles import SDXL, Family
from punklab.files import sha256_of, write_whole

if TYPE_CHECKING:
    import torch

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"
KNOWN_VERSIONS = {"sd_v1": "Stable Diffusion 1", "sd_v2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL"}
SDXL_MARKS = (
    "lora_te1_",
    "lora_te2_",
    "lora_unet_input_blocks_",
    "lora_unet_output_blocks_",
    "lora_unet_middle_block_",
)
OTHER_FORMATS = {
    "hada_w1_a": "a LoHa", "lokr_w1": "a LoKr", "dora_scale": "a DoRA", "lora_A": "in PEFT's names",
    ".lora.down": "in diffusers' names", "processor": "in diffusers' names",
}  # fmt: skip
FLOATS = {"F16": "<e", "F32": "<f", "F64": "<d"}


class LoraError(Exception):
    """The file is no LoRA that can be used; the message names file and reason."""


@dataclass(frozen=True, kw_only=True)
class LoraModule:
    rank: int
    alpha: float  # strength is alpha / rank
    down: tuple[int, ...]
    up: tuple[int, ...]

    @property
    def wide(self) -> bool:
        """A convolution larger than 1x1 (kohya's conv_dim)."""
        return len(self.down) == 4 and self.down[2:] != (1, 1)


@dataclass(frozen=True, kw_only=True)
class LoraHeader:
    """What a LoRA file says of itself, and what its bytes are."""

    path: Path
    sha256: str
    size: int
    dim: int
    alpha: float
    conv_dim: int | None
    conv_alpha: float | None
    epoch: int | None
    modules: Mapping[str, LoraModule]  # by kohya's name
    metadata: Mapping[str, str] = field(repr=False)

    @property
    def base_version(self) -> str:
        """kohya's name of the family of base models; "" when the file does not say."""
        return self.metadata.get("ss_base_model_version", "")

    @property
    def base_hash(self) -> str:
        """Hash of the base's weights; "" when the file does not say."""
        return self.metadata.get("ss_new_sd_model_hash", "")

    @property
    def n_unet(self) -> int:
        return sum(name.startswith("lora_unet_") for name in self.modules)

    @property
    def n_text_encoder(self) -> int:
        return len(self.modules) - self.n_unet


def read_header(path: Path) -> LoraHeader:
    """The facts of a LoRA in kohya's format. Raises LoraError for anything else, before any tensor is loaded."""
    path = Path(path)
    try:
        facts = header.read(path)
        modules = _modules(path, facts)
        sha256 = sha256_of(path)
        size = path.stat().st_size
    except header.HeaderError as error:
        raise LoraError(str(error)) from error
    except OSError as error:
        raise LoraError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    plain = Counter((module.rank, module.alpha) for module in modules.values() if not module.wide)
    wide = Counter((module.rank, module.alpha) for module in modules.values() if module.wide)
    dim, alpha = (plain or wide).most_common(1)[0][0]
    conv_dim, conv_alpha = wide.most_common(1)[0][0] if wide else (None, None)
    epoch = facts.metadata.get("ss_epoch", "")
    return LoraHeader(
        path=path,
        sha256=sha256,
        size=size,
        dim=dim,
        alpha=alpha,
        conv_dim=conv_dim,
        conv_alpha=conv_alpha,
        epoch=int(epoch) if epoch.isdecimal() and len(epoch) < 9 else None,
        modules=MappingProxyType(modules),
        metadata=facts.metadata,
    )


def check_for_base(lora: LoraHeader, base: BaseModel) -> None:
    """Raise LoraError when `lora` was made for another base than `base`: by the names and shapes of its modules, for the
    miniature by the hash of the weights too. Where the base's files are not on this machine, by the text's width."""
    name = lora.path.name
    if not base.profile.renderable:
        raise LoraError(f"{name} cannot be used with {base.name}: {base.profile.note}")
    misfits = _misfits(lora, base)
    if misfits:
        raise LoraError(
            f"{name} was made for {_made_for(lora)}, not for {base.name}: {len(misfits)} of its {len(lora.modules)} modules "
            f"do not exist there or have another size (first {misfits[0]})."
        )
    if base.profile.family is Family.MINIATURE and lora.base_hash not in ("", base.fingerprint):
        raise LoraError(
            f"{name} was made for other weights of the miniature (hash {lora.base_hash[:12]}, here "
            f"{base.fingerprint[:12]}): train it again on this one."
        )


def base_metadata(base: BaseModel) -> dict[str, str]:
    """The metadata by which `check_for_base` and kohya's tools know a LoRA's base."""
    return {
        "ss_base_model_version": base.profile.version,
        "ss_sd_model_name": base.name,
        "ss_new_sd_model_hash": base.fingerprint,
        "ss_v2": "False",
    }


def save_lora(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a LoRA file whole or not at all, readable by all. Raises OSError (a full disk), ValueError (odd names)."""
    from safetensors.torch import save

    odd = [name for name in tensors if not name.startswith("lora_") or not name.endswith((DOWN, UP, ALPHA))]
    if odd:
        raise ValueError(f"{odd[0]} is not kohya's name of a LoRA tensor.")
    write_whole(path, save(dict(tensors), metadata={"format": "pt", **metadata}))


def peft_tensors(models: Mapping[kohya_keys.Part, Any], dtype: torch.dtype, adapter: str = "default") -> dict[str, Any]:
    """The LoRA that peft holds in the UNet and text encoder, in kohya's names, with each module's true alpha."""
    import torch

    found: dict[str, Any] = {}
    for part, model in models.items():
        for path, layer in model.named_modules():
            if adapter not in getattr(layer, "lora_A", {}):
                continue
            name = kohya_keys.kohya_name(part, path)
            found[name + DOWN] = layer.lora_A[adapter].weight.detach().to("cpu", dtype).contiguous()
            found[name + UP] = layer.lora_B[adapter].weight.detach().to("cpu", dtype).contiguous()
            found[name + ALPHA] = torch.tensor(float(layer.lora_alpha[adapter]), dtype=dtype)
    return found


def _modules(path: Path, facts: header.Header) -> dict[str, LoraModule]:
    names = sorted(
        {name.removesuffix(DOWN) for name in facts.tensors if name.endswith(DOWN) and name.startswith("lora_")}
    )
    strange = [name for name in facts.tensors if not name.endswith((DOWN, UP, ALPHA)) or not name.startswith("lora_")]
    if strange or not names:
        raise LoraError(f"{path.name} is no LoRA in kohya's format: {_what_instead(strange)}.")
    modules = {}
    with path.open("rb") as file:
        for name in names:
            down, up = facts.tensors[name + DOWN], facts.tensors.get(name + UP)
            if up is None or not _pair(down.shape, up.shape):
                raise LoraError(f"{path.name}: {name} has no matching pair of lora_down and lora_up.")
            alpha = float(down.shape[0])  # kohya's meaning of a file without alphas
            if name + ALPHA in facts.tensors:
                where = facts.tensors[name + ALPHA]
                file.seek(where.start)
                alpha = _number(path, name, where, file.read(where.end - where.start))
            modules[name] = LoraModule(rank=down.shape[0], alpha=alpha, down=down.shape, up=up.shape)
    lonely = {
        name.rpartition(UP if name.endswith(UP) else ALPHA)[0] for name in facts.tensors if not name.endswith(DOWN)
    }
    if lonely - modules.keys():
        raise LoraError(f"{path.name}: {min(lonely - modules.keys())} has no lora_down.")
    return modules


def _pair(down: tuple[int, ...], up: tuple[int, ...]) -> bool:
    """Shapes (r, in[, k, k]) and (out, r[, 1, 1]) with a rank above 0."""
    return (
        len(down) == len(up)
        and len(down) in (2, 4)
        and 0 < down[0] == up[1]
        and up[2:] in ((), (1, 1))
        and 0 not in down
    )


def _number(path: Path, name: str, where: header.TensorFacts, raw: bytes) -> float:
    if where.dtype == "BF16" and len(raw) == 2:
        value = struct.unpack("<f", b"\0\0" + raw)[0]
    elif where.dtype in FLOATS and len(raw) == struct.calcsize(FLOATS[where.dtype]):
        value = struct.unpack(FLOATS[where.dtype], raw)[0]
    else:
        raise LoraError(f"{path.name}: the alpha of {name} is not one number.")
    if not math.isfinite(value):
        raise LoraError(f"{path.name}: the alpha of {name} is {value}.")
    return float(value)


def _what_instead(strange: list[str]) -> str:
    if not strange:
        return "it has no tensors"
    for mark, kind in OTHER_FORMATS.items():
        if any(mark in name for name in strange):
            return f"it is {kind} ({strange[0][:80]})"
    return f"its tensors are named otherwise ({strange[0][:80]})"


def _misfits(lora: LoraHeader, base: BaseModel) -> list[str]:
    if base.folder is None:
        width = base.profile.text_width
        readers = {name: module for name, module in lora.modules.items() if name.endswith(("attn2_to_k", "attn2_to_v"))}
        sdxl = [name for name in lora.modules if name.startswith(SDXL_MARKS)]
        return sdxl + [name for name, module in readers.items() if module.down[1] != width]
    shapes = base.shapes
    return [name for name, module in lora.modules.items() if not _fits(module, shapes.get(name))]


def _fits(module: LoraModule, weight: tuple[int, ...] | None) -> bool:
    """A Linear's weight is (out, in), a convolution's (out, in, k, k)."""
    return weight is not None and (module.up[0], *module.down[1:]) == weight and len(module.down) == len(weight)


def _made_for(lora: LoraHeader) -> str:
    version = lora.base_version
    if any(name.startswith(SDXL_MARKS) for name in lora.modules):
        version = version or SDXL.version
    for start, name in KNOWN_VERSIONS.items():
        if version.startswith(start):
            return f"{name} ({version})"
    return version or lora.metadata.get("ss_sd_model_name", "") or "another base model"
