"""Settings of a kohya config that quarrel with each other: one row each. Facts from sd-scripts' own checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runs.kohya import effective, network_arguments

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Contradiction:
    """A rule over flat values: where ``holds`` is true, ``key`` does not do what it says."""

    code: str
    key: str
    holds: Callable[[Values], bool]
    detail: str
    mend: str
    level: Literal["error", "warning"] = "error"


def _on(values: Values, *names: str) -> bool:
    return all(effective(values, name) not in (None, False, 0, "", []) for name in names)


def _given(values: Values, *names: str) -> bool:
    return all(values.get(name) is not None for name in names)


def _is(values: Values, name: str, *wanted: str) -> bool:
    return effective(values, name) in wanted


def _more_than_one(values: Values, *names: str) -> bool:
    return sum(_on(values, name) for name in names) > 1


def _number(values: Values, name: str) -> float:
    value = effective(values, name)
    return float(value) if isinstance(value, (int, float)) else 0.0


_WITH_CYCLES = ("cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay")

CONTRADICTIONS = (
    Contradiction(
        "alpha_without_dim",
        "network_alpha",
        lambda v: _given(v, "network_alpha") and not _given(v, "network_dim") and not _on(v, "dim_from_weights"),
        "an alpha without `network_dim`: kohya takes a dim of 4",
        "set `network_dim`",
    ),
    Contradiction(
        "dim_missing",
        "network_dim",
        lambda v: not _given(v, "network_dim") and not _given(v, "network_alpha") and not _on(v, "dim_from_weights"),
        "no `network_dim`: kohya takes 4",
        "set `network_dim`",
        "warning",
    ),
    Contradiction(
        "alpha_zero",
        "network_alpha",
        lambda v: v.get("network_alpha") in (0, 0.0) and v.get("network_alpha") is not False,
        "an alpha of 0 means the dim to kohya, not none",
        "write the dim",
        "warning",
    ),
    Contradiction(
        "alpha_over_dim",
        "network_alpha",
        lambda v: _given(v, "network_dim", "network_alpha") and _number(v, "network_alpha") > _number(v, "network_dim"),
        "alpha above dim multiplies the rate by more than 1",
        "set alpha to the dim or below, usually half of it",
        "warning",
    ),
    Contradiction(
        "conv_alpha_without_conv_dim",
        "network_args",
        lambda v: "conv_alpha" in network_arguments(v) and "conv_dim" not in network_arguments(v),
        "`conv_alpha` without `conv_dim`: no convolution is trained",
        'add "conv_dim=..." to `network_args`',
    ),
    Contradiction(
        "conv_dim_without_conv_alpha",
        "network_args",
        lambda v: "conv_dim" in network_arguments(v) and "conv_alpha" not in network_arguments(v),
        "`conv_dim` without `conv_alpha`: kohya takes an alpha of 1",
        'add "conv_alpha=..." to `network_args`',
        "warning",
    ),
    Contradiction(
        "cache_latents_with_augmentation",
        "cache_latents",
        lambda v: (
            (_on(v, "cache_latents") or _on(v, "cache_latents_to_disk"))
            and (_on(v, "color_aug") or _on(v, "random_crop"))
        ),
        "cached latents cannot follow `color_aug` or `random_crop`; kohya refuses to start",
        "switch `cache_latents` or the augmentation off",
    ),
    Contradiction(
        "cached_text_with_changing_captions",
        "cache_text_encoder_outputs",
        lambda v: (
            bool(v.get("cache_text_encoder_outputs"))
            and (_on(v, "shuffle_caption") or _on(v, "caption_dropout_rate") or _on(v, "caption_tag_dropout_rate"))
        ),
        "cached text cannot follow captions that are shuffled or dropped",
        "switch the cache off, or shuffle and dropout",
    ),
    Contradiction(
        "unet_only_and_text_encoder_only",
        "network_train_unet_only",
        lambda v: _on(v, "network_train_unet_only", "network_train_text_encoder_only"),
        "`network_train_unet_only` and `network_train_text_encoder_only` together leave nothing to train",
        "keep one of the two",
    ),
    Contradiction(
        "text_encoder_lr_unused",
        "text_encoder_lr",
        lambda v: _on(v, "network_train_unet_only", "text_encoder_lr"),
        "`text_encoder_lr` has no effect with `network_train_unet_only`",
        "take one of the two out",
        "warning",
    ),
    Contradiction(
        "unet_lr_unused",
        "unet_lr",
        lambda v: _on(v, "network_train_text_encoder_only", "unet_lr"),
        "`unet_lr` has no effect with `network_train_text_encoder_only`",
        "take one of the two out",
        "warning",
    ),
    Contradiction(
        "cycles_without_restarts",
        "lr_scheduler_num_cycles",
        lambda v: _given(v, "lr_scheduler_num_cycles") and not _is(v, "lr_scheduler", *_WITH_CYCLES),
        "this `lr_scheduler` has no cycles: `lr_scheduler_num_cycles` has no effect",
        'write `lr_scheduler = "cosine_with_restarts"` or take the cycles out',
        "warning",
    ),
    Contradiction(
        "power_without_polynomial",
        "lr_scheduler_power",
        lambda v: _given(v, "lr_scheduler_power") and not _is(v, "lr_scheduler", "polynomial"),
        "`lr_scheduler_power` has no effect but with the polynomial scheduler",
        'write `lr_scheduler = "polynomial"` or take the power out',
        "warning",
    ),
    Contradiction(
        "warmup_with_constant",
        "lr_warmup_steps",
        lambda v: _on(v, "lr_warmup_steps") and _is(v, "lr_scheduler", "constant"),
        "the constant scheduler has no warm-up; kohya refuses to start",
        'write `lr_scheduler = "constant_with_warmup"` or `lr_warmup_steps = 0`',
    ),
    Contradiction(
        "warmup_share_over_one",
        "lr_warmup_steps",
        lambda v: isinstance(v.get("lr_warmup_steps"), float) and v["lr_warmup_steps"] >= 1,
        "a number with a point is a share of all steps to kohya",
        "write a whole number of steps, or a share below 1.0",
    ),
    Contradiction(
        "steps_and_epochs",
        "max_train_steps",
        lambda v: _given(v, "max_train_steps", "max_train_epochs"),
        "`max_train_epochs` overrides `max_train_steps`",
        "keep one of the two",
        "warning",
    ),
    Contradiction(
        "length_not_set",
        "max_train_epochs",
        lambda v: not _given(v, "max_train_steps") and not _given(v, "max_train_epochs"),
        "neither `max_train_epochs` nor `max_train_steps`: kohya trains 1600 steps",
        "set `max_train_epochs`",
        "warning",
    ),
    Contradiction(
        "full_precision_mismatch",
        "full_bf16",
        lambda v: _on(v, "full_bf16") and not _is(v, "mixed_precision", "bf16"),
        '`full_bf16` needs `mixed_precision = "bf16"`; kohya refuses to start',
        "make the two agree",
    ),
    Contradiction(
        "full_precision_mismatch",
        "full_fp16",
        lambda v: _on(v, "full_fp16") and not _is(v, "mixed_precision", "fp16"),
        '`full_fp16` needs `mixed_precision = "fp16"`; kohya refuses to start',
        "make the two agree",
    ),
    Contradiction(
        "fp8_without_mixed_precision",
        "fp8_base",
        lambda v: _on(v, "fp8_base") and _is(v, "mixed_precision", "no"),
        "`fp8_base` needs mixed precision; kohya refuses to start",
        'set `mixed_precision = "fp16"` or take `fp8_base` out',
    ),
    Contradiction(
        "v_prediction_missing",
        "scale_v_pred_loss_like_noise_pred",
        lambda v: _on(v, "scale_v_pred_loss_like_noise_pred") and not _on(v, "v_parameterization"),
        "needs `v_parameterization`; kohya refuses to start",
        "take it out",
    ),
    Contradiction(
        "v_prediction_twice",
        "v_pred_like_loss",
        lambda v: _on(v, "v_pred_like_loss", "v_parameterization"),
        "cannot stand beside `v_parameterization`; kohya refuses to start",
        "take one of the two out",
    ),
    Contradiction(
        "v_prediction_without_v2",
        "v_parameterization",
        lambda v: _on(v, "v_parameterization") and not _on(v, "v2"),
        "Stable Diffusion 1.5 predicts noise, not velocity: its LoRA would be spoilt",
        "take `v_parameterization` out, unless the base was trained with it",
        "warning",
    ),
    Contradiction(
        "zero_snr_without_v_prediction",
        "zero_terminal_snr",
        lambda v: _on(v, "zero_terminal_snr") and not _on(v, "v_parameterization"),
        "zero terminal SNR needs velocity prediction; with `min_snr_gamma` it even divides by zero",
        "take `zero_terminal_snr` out",
    ),
    Contradiction(
        "two_loss_weightings",
        "min_snr_gamma",
        lambda v: _on(v, "min_snr_gamma", "debiased_estimation_loss"),
        "`min_snr_gamma` and `debiased_estimation_loss` both weight the loss by its noise level",
        "keep one of the two",
        "warning",
    ),
    Contradiction(
        "adaptive_noise_without_offset",
        "adaptive_noise_scale",
        lambda v: _given(v, "adaptive_noise_scale") and not _given(v, "noise_offset"),
        "`adaptive_noise_scale` needs `noise_offset`; kohya refuses to start",
        "set `noise_offset`",
    ),
    Contradiction(
        "multires_discount_unused",
        "multires_noise_discount",
        lambda v: _given(v, "multires_noise_discount") and not _on(v, "multires_noise_iterations"),
        "`multires_noise_discount` has no effect without `multires_noise_iterations`",
        "set the iterations, 6 to 10, or take the discount out",
        "warning",
    ),
    Contradiction(
        "keep_tokens_unused",
        "keep_tokens",
        lambda v: _on(v, "keep_tokens") and not _on(v, "shuffle_caption") and not _on(v, "caption_tag_dropout_rate"),
        "`keep_tokens` has no effect where captions are not shuffled",
        "set `shuffle_caption = true` or take `keep_tokens` out",
        "warning",
    ),
    Contradiction(
        "two_attentions",
        "xformers",
        lambda v: _more_than_one(v, "xformers", "sdpa", "mem_eff_attn"),
        "more than one attention is chosen; kohya takes the first of mem_eff_attn, xformers, sdpa",
        "keep one",
        "warning",
    ),
    Contradiction(
        "two_optimizers",
        "optimizer_type",
        lambda v: _more_than_one(v, "optimizer_type", "use_8bit_adam", "use_lion_optimizer"),
        "the optimizer is chosen twice; kohya refuses to start",
        "keep `optimizer_type`",
    ),
    Contradiction(
        "not_safetensors",
        "save_model_as",
        lambda v: not _is(v, "save_model_as", "safetensors"),
        "only safetensors files are read here",
        'write `save_model_as = "safetensors"`',
    ),
    Contradiction(
        "no_metadata",
        "no_metadata",
        lambda v: _on(v, "no_metadata"),
        "the LoRA would not tell its dim, epoch and base model",
        "take `no_metadata` out",
        "warning",
    ),
    Contradiction(
        "epochs_not_saved",
        "save_every_n_epochs",
        lambda v: not _given(v, "save_every_n_epochs") and not _given(v, "save_n_epoch_ratio"),
        "without `save_every_n_epochs` only the last epoch is saved: nothing to compare",
        "add `save_every_n_epochs = 1`",
        "warning",
    ),
    Contradiction(
        "output_name_missing",
        "output_name",
        lambda v: not _given(v, "output_name"),
        "without `output_name` the files are named `epoch-000001` and `last`, as every other run's",
        "set `output_name`",
        "warning",
    ),
    Contradiction(
        "dim_without_weights",
        "dim_from_weights",
        lambda v: _on(v, "dim_from_weights") and not _on(v, "network_weights"),
        "`dim_from_weights` needs `network_weights`",
        "set `network_weights` or take it out",
    ),
    Contradiction(
        "workers_persist_without_workers",
        "persistent_data_loader_workers",
        lambda v: _on(v, "persistent_data_loader_workers") and v.get("max_data_loader_n_workers") == 0,
        "no worker can persist where `max_data_loader_n_workers` is 0",
        "take one of the two out",
    ),
)
