"""Which of kohya's options this trainer honours, and why it refuses the others. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from punklab.diffusion.base import BaseModel
from punklab.diffusion.schedules import SCHEDULES

# Options that change what is learnt, in which order, or what is written.
HONOURED = frozenset(
    {
        "cache_latents",
        "cache_latents_to_disk",
        "caption_dropout_rate",
        "caption_extension",
        "caption_separator",
        "flip_aug",
        "gradient_accumulation_steps",
        "gradient_checkpointing",
        "keep_tokens",
        "learning_rate",
        "lr_scheduler",
        "lr_scheduler_num_cycles",
        "lr_scheduler_power",
        "lr_warmup_steps",
        "max_grad_norm",
        "max_token_length",
        "max_train_epochs",
        "max_train_steps",
        "min_snr_gamma",
        "mixed_precision",
        "multires_noise_discount",
        "multires_noise_iterations",
        "network_alpha",
        "network_args",
        "network_dim",
        "network_module",
        "network_train_text_encoder_only",
        "network_train_unet_only",
        "network_weights",
        "noise_offset",
        "optimizer_args",
        "optimizer_type",
        "output_name",
        "resolution",
        "save_every_n_epochs",
        "save_model_as",
        "save_precision",
        "seed",
        "shuffle_caption",
        "text_encoder_lr",
        "train_batch_size",
        "training_comment",
        "unet_lr",
        "use_8bit_adam",
    }
)
# Options that move work, memory, logs or samples about, or say where things lie: the LoRA is the same without them.
WITHOUT_EFFECT = frozenset(
    {
        "bucket_reso_steps",  # every picture has one size, so there is one bucket
        "cache_info",
        "console_log_file",
        "console_log_level",
        "console_log_simple",
        "ddp_gradient_as_bucket_view",
        "ddp_static_graph",
        "ddp_timeout",
        "dynamo_backend",
        "enable_bucket",
        "highvram",
        "log_config",
        "log_prefix",
        "log_tracker_config",
        "log_tracker_name",
        "log_with",
        "logging_dir",
        "lowram",
        "max_bucket_reso",
        "max_data_loader_n_workers",
        "mem_eff_attn",
        "min_bucket_reso",
        "no_half_vae",  # latents are always made in float32
        "output_dir",  # given to from_config
        "persistent_data_loader_workers",
        "pretrained_model_name_or_path",  # given to from_config
        "prior_loss_weight",  # counts for regularization images only, and those are refused
        "sample_at_first",
        "sample_every_n_epochs",
        "sample_every_n_steps",
        "sample_prompts",
        "sample_sampler",
        "save_state",  # a state is always kept
        "save_state_on_train_end",
        "sdpa",
        "skip_cache_check",
        "tokenizer_cache_dir",
        "torch_compile",
        "train_data_dir",  # given to from_config
        "vae_batch_size",
        "wandb_run_name",
        "xformers",
    }
)
ACCEPTED = HONOURED | WITHOUT_EFFECT
_OFF: tuple[Any, ...] = (None, False, 0, 0.0, "", [])
PRECISIONS = {"float": "float32", "fp16": "float16", "bf16": "bfloat16", None: "float32"}
OPTIMIZERS = {"": "AdamW", "adamw": "AdamW", "adamw8bit": "AdamW8bit"}
# kohya's defaults that are not "off"; a config may spell them out
_HARMLESS = {
    "huber_c": 0.1,
    "huber_scale": 1.0,
    "huber_schedule": "snr",
    "loss_type": "l2",
    "dataset_repeats": 1,
    "token_warmup_min": 1,
    "zero_stage": 2,
    "clip_skip": 1,
}

_BY_BASE = ("v_parameterization", "zero_terminal_snr")


def refusals_of(values: Mapping[str, Any], base: BaseModel) -> list[str]:
    """A sentence for each of kohya's flat `values` that this trainer cannot honour on `base`; empty: all are."""
    return [
        *(f"`{key}` ({values[key]!r}) is not honoured by this trainer" for key in values if not _accepted(key, values)),
        *_refused_choices(values),
        *_refused_arguments(values),
        *_refused_by_base(values, base),
    ]


def _accepted(key: str, values: Mapping[str, Any]) -> bool:
    if key in ("conv_dim", "conv_alpha"):  # a run's parameters repeat them beside network_args
        return key in arguments_of(values.get("network_args"))
    value = values[key]
    return key in ACCEPTED or value in _OFF or _HARMLESS.get(key) == value or key in _BY_BASE


def _refused_choices(values: Mapping[str, Any]) -> Iterator[str]:
    for key, usual, offered in (
        ("network_module", "networks.lora", ("networks.lora",)),
        ("save_model_as", "safetensors", ("safetensors",)),
        ("lr_scheduler", "constant", SCHEDULES),
        ("save_precision", None, tuple(PRECISIONS)),
    ):
        if values.get(key, usual) not in offered:
            yield f"`{key}` {values[key]!r} is none of {', '.join(str(choice) for choice in offered if choice)}"
    optimizer = values.get("optimizer_type", "")
    if str(optimizer).lower() not in OPTIMIZERS:
        yield f"`optimizer_type` {optimizer!r} is neither AdamW nor AdamW8bit"
    if values.get("network_train_unet_only") and values.get("network_train_text_encoder_only"):
        yield "`network_train_unet_only` and `network_train_text_encoder_only` together leave nothing to train"


def _refused_arguments(values: Mapping[str, Any]) -> Iterator[str]:
    for key, offered in (
        ("network_args", {"conv_dim", "conv_alpha"}),
        ("optimizer_args", {"weight_decay", "betas", "eps"}),
    ):
        for name in sorted(set(arguments_of(values.get(key))) - offered):
            yield f"`{key}` {name!r} is not honoured by this trainer"


def _refused_by_base(values: Mapping[str, Any], base: BaseModel) -> Iterator[str]:
    """What the base was trained to predict is the base's, not the run's, to choose."""
    config = json.loads((base.files / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    if values.get("v_parameterization") and config.get("prediction_type") != "v_prediction":
        yield f"`v_parameterization`: {base.name} predicts noise"
    if values.get("zero_terminal_snr") and not config.get("rescale_betas_zero_snr"):
        yield f"`zero_terminal_snr`: {base.name} was not trained with it"


def arguments_of(items: Any) -> dict[str, str]:
    """kohya's `["name=value", ...]`."""
    pairs = (str(item).partition("=") for item in items or [])
    return {name.strip(): value.strip() for name, _, value in pairs}
