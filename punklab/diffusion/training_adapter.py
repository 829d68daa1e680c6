"""The LoRA that is trained: peft adapters on a base's modules, the optimizer over them, their tensors in files."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.kohya_keys import Part, Target
from punklab.diffusion.training_data import Purpose, torch_seed
from punklab.diffusion.training_plan import TrainingError, TrainingPlan

if TYPE_CHECKING:
    import torch

ADAPTER = "default"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The base model's parts that training needs, on the plan's device; nothing of them is trained."""

    unet: Any
    text_encoder: Any
    vae: Any
    tokenizer: Any
    scheduler_config: Mapping[str, Any]


def load_parts(plan: TrainingPlan) -> Parts:
    """The base model from its folder; weights in 16 bits only where mixed precision runs on a GPU."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # it draws on the log
    folder = plan.base.files
    dtype = weight_dtype(plan)
    shared: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", dtype=dtype, **shared)
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype, **shared)
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", dtype=torch.float32, **shared)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    config = DDPMScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
    for model in (unet, text_encoder, vae):
        model.requires_grad_(False).eval().to(plan.device)
    return Parts(unet=unet, text_encoder=text_encoder, vae=vae, tokenizer=tokenizer, scheduler_config=config)


def precision(plan: TrainingPlan) -> str:
    """The mixed precision that is really used: 16 bits need a CUDA GPU; bf16 runs on the CPU too, without gain."""
    if plan.device.startswith("cuda") or (plan.device == "cpu" and plan.mixed_precision == "bf16"):
        return plan.mixed_precision
    return "no"


def weight_dtype(plan: TrainingPlan) -> torch.dtype:
    import torch

    if not plan.device.startswith("cuda"):
        return torch.float32
    return {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision(plan)]


class Adapter:
    """The trained LoRA inside the base's models: float32 tensors in kohya's names."""

    def __init__(self, parts: Parts, plan: TrainingPlan) -> None:
        self.models: dict[Part, Any] = {"unet": parts.unet, "text_encoder": parts.text_encoder}
        trained = {"unet": plan.train_unet, "text_encoder": plan.train_text_encoder}
        found = kohya_keys.targets(parts.unet, parts.text_encoder, plan.base.profile, conv=plan.conv_dim is not None)
        self.targets = [target for target in found if trained[target.part]]
        for part, model in self.models.items():
            _inject(model, [target for target in self.targets if target.part == part], plan)
        self.tensors: dict[str, torch.nn.Parameter] = {}
        self.alphas: dict[str, float] = {}
        self._collect()
        if plan.network_weights is not None:
            self._start_from(plan)
        if plan.gradient_checkpointing:
            _checkpoint_gradients(parts, plan)

    def named(self, part: Part) -> dict[str, torch.nn.Parameter]:
        prefix = kohya_keys.PREFIXES[part]
        return {name: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    def in_kohyas_names(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """What goes into a checkpoint."""
        import torch

        weights = {name: tensor.detach().to("cpu", dtype) for name, tensor in self.tensors.items()}
        return weights | {name + lora.ALPHA: torch.tensor(alpha, dtype=dtype) for name, alpha in self.alphas.items()}

    def checkpoint_bytes(self, dtype: torch.dtype) -> int:
        weights = sum(tensor.numel() for tensor in self.tensors.values()) + len(self.alphas)
        return int(weights * dtype.itemsize) + 300 * len(self.tensors) + 2**17

    def _collect(self) -> None:
        for target in self.targets:
            layer = self.models[target.part].get_submodule(target.path)
            for suffix, weights in ((lora.DOWN, layer.lora_A), (lora.UP, layer.lora_B)):
                weight = weights[ADAPTER].weight
                weight.data = weight.data.float()
                weight.requires_grad_(True)
                self.tensors[target.name + suffix] = weight
            self.alphas[target.name] = float(layer.lora_alpha[ADAPTER])

    def _start_from(self, plan: TrainingPlan) -> None:
        """Take over an earlier checkpoint at the strength it had. What it does not have starts at nothing."""
        import torch
        from safetensors.torch import load_file

        path = plan.network_weights
        assert path is not None
        try:
            start = lora.read_header(path)
            lora.check_for_base(start, plan.base)
        except lora.LoraError as error:
            raise TrainingError(f"`network_weights`: {error}") from error
        unknown = sorted(set(start.modules) - set(self.alphas))
        if unknown:
            raise TrainingError(
                f"`network_weights`: {path.name} bends {len(unknown)} modules that this training leaves alone "
                f"(first {unknown[0]}); train the same ones (`network_args`, `network_train_unet_only`)."
            )
        tensors = load_file(path)
        for name, module in start.modules.items():
            own = self.tensors[name + lora.DOWN].shape[0]
            if own != module.rank:
                raise TrainingError(
                    f"`network_weights`: {path.name} has a dim of {module.rank} in {name}, this training {own}; "
                    "set `network_dim` (and conv_dim) to the file's."
                )
            strength = module.alpha / self.alphas[name]
            with torch.no_grad():
                self.tensors[name + lora.DOWN].copy_(tensors[name + lora.DOWN])
                self.tensors[name + lora.UP].copy_(tensors[name + lora.UP].float() * strength)


def make_optimizer(adapter: Adapter, plan: TrainingPlan) -> tuple[Any, list[float], list[str]]:
    """The optimizer, the full rate of each of its groups, and what has to be said about it."""
    import torch

    groups, rates = [], []
    parts: tuple[tuple[Part, float], ...] = (("text_encoder", plan.text_encoder_lr), ("unet", plan.unet_lr))
    for part, rate in parts:
        tensors = list(adapter.named(part).values())
        if tensors and rate > 0:
            groups.append({"params": tensors, "lr": rate})
            rates.append(rate)
    if not groups:
        raise TrainingError("Nothing is trained: every rate is 0; set `unet_lr` or `text_encoder_lr`.")
    if plan.optimizer == "AdamW8bit":
        eight_bits = _eight_bits(plan)
        if eight_bits is not None:
            return eight_bits(groups, **plan.optimizer_args), rates, []
        said = "AdamW8bit needs a CUDA GPU and bitsandbytes: trained with AdamW in 32 bits."
        return torch.optim.AdamW(groups, fused=True, **plan.optimizer_args), rates, [said]
    return torch.optim.AdamW(groups, fused=True, **plan.optimizer_args), rates, []


def _eight_bits(plan: TrainingPlan) -> Any:
    if not plan.device.startswith("cuda"):
        return None
    try:
        return importlib.import_module("bitsandbytes.optim").AdamW8bit  # not among the requirements: CUDA only
    except ImportError:
        return None


def _inject(model: Any, targets: list[Target], plan: TrainingPlan) -> None:
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    if not targets:
        return
    wide = [f"^{re.escape(target.path)}" for target in targets if target.wide and plan.conv_dim is not None]
    config = LoraConfig(
        r=plan.network_dim,
        lora_alpha=plan.network_alpha,
        target_modules=[target.path for target in targets],
        rank_pattern=dict.fromkeys(wide, plan.conv_dim),
        alpha_pattern=dict.fromkeys(wide, plan.conv_alpha),
    )
    with torch.random.fork_rng(devices=[]):  # peft draws the first weights from torch's global stream
        torch.manual_seed(torch_seed(plan.seed, Purpose.INITIAL, len(targets)))
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)


def _checkpoint_gradients(parts: Parts, plan: TrainingPlan) -> None:
    parts.unet.enable_gradient_checkpointing()
    parts.unet.train()  # neither part has dropout, so that training mode changes nothing else
    if plan.trains_text_encoder:
        parts.text_encoder.activation_checkpointing_enable({"use_reentrant": False})
        parts.text_encoder.train()
