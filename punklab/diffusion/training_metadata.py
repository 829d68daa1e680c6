"""The `ss_*` metadata of a checkpoint, as kohya's trainer writes them: every value a text, None included."""

from __future__ import annotations

import json
from typing import Any

from punklab.diffusion import lora
from punklab.diffusion.training_data import TrainingData
from punklab.diffusion.training_plan import TrainingPlan


def metadata_of(plan: TrainingPlan, data: TrainingData, facts: dict[str, Any]) -> dict[str, str]:
    """What a checkpoint says of its training. `facts` are those of the moment: epoch, steps, times, totals, and what
    was really used where it differs from the plan (precision, optimizer)."""
    conv = (plan.conv_dim, plan.conv_alpha)
    if plan.conv_dim is None and plan.base.profile.conv_always:
        conv = (plan.network_dim, plan.network_alpha)
    repeated = len(data.repeated)
    values: dict[str, Any] = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": plan.network_dim,
        "ss_network_alpha": plan.network_alpha,
        "ss_network_dropout": None,
        "ss_output_name": plan.output_name,
        "ss_learning_rate": plan.learning_rate,
        "ss_unet_lr": plan.unet_lr if plan.train_unet else None,
        "ss_text_encoder_lr": plan.text_encoder_lr if plan.train_text_encoder else None,
        "ss_lr_scheduler": plan.schedule.name,
        "ss_lr_warmup_steps": plan.schedule.warmup,
        "ss_max_grad_norm": plan.max_grad_norm,
        "ss_num_train_images": repeated,
        "ss_num_reg_images": 0,
        "ss_num_batches_per_epoch": data.batches_per_epoch(plan.train_batch_size),
        "ss_batch_size_per_device": plan.train_batch_size,
        "ss_total_batch_size": plan.train_batch_size * plan.gradient_accumulation_steps,
        "ss_gradient_accumulation_steps": plan.gradient_accumulation_steps,
        "ss_gradient_checkpointing": plan.gradient_checkpointing,
        "ss_resolution": (plan.size, plan.size),
        "ss_enable_bucket": False,
        "ss_bucket_info": json.dumps(None),
        "ss_color_aug": False,
        "ss_flip_aug": plan.flip_aug,
        "ss_random_crop": False,
        "ss_keep_tokens": plan.keep_tokens,
        "ss_shuffle_caption": plan.shuffle_caption,
        "ss_caption_dropout_rate": plan.caption_dropout_rate,
        "ss_max_token_length": plan.max_token_length,
        "ss_min_snr_gamma": plan.min_snr_gamma,
        "ss_noise_offset": plan.noise_offset,
        "ss_multires_noise_iterations": plan.multires_noise_iterations,
        "ss_multires_noise_discount": plan.multires_noise_discount,
        "ss_clip_skip": None,
        "ss_cache_latents": plan.cache_latents,
        "ss_seed": plan.seed,
        "ss_dataset_dirs": json.dumps(
            {each.name: {"n_repeats": each.repeats, "img_count": len(each.pictures)} for each in data.concepts}
        ),
        "ss_reg_dataset_dirs": json.dumps({}),
        "ss_tag_frequency": json.dumps(data.tag_frequency),
        "ss_training_comment": plan.training_comment,
        "ss_sd_scripts_commit_hash": None,  # written by punklab's own trainer
        "punklab_caption_sha256": json.dumps(data.caption_hashes),
        "punklab_data_sha256": data.digest,
        **facts,
    }
    if conv[0] is not None:
        values["ss_network_args"] = json.dumps({"conv_dim": str(conv[0]), "conv_alpha": str(conv[1])})
    return {**{name: str(value) for name, value in values.items()}, **lora.base_metadata(plan.base)}
