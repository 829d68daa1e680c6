"""The miniature's networks: the classes of Stable Diffusion 1.5 with toy widths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH = 128
UNET_WIDTHS = (48, 96, 128)


def build_text_encoder(vocabulary: int) -> Any:
    """A CLIPTextModel of 4 layers; the last two ids are beginning and end."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=WIDTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def build_unet() -> Any:
    """A UNet2DConditionModel on 24x24 latents; the full resolution has no attention, which is what costs most there."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=24,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=UNET_WIDTHS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_scheduler() -> Any:
    """DPM-Solver++ for velocity prediction; the last training step is pure noise, so backgrounds can be any colour."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        algorithm_type="dpmsolver++",
        solver_order=2,
        final_sigmas_type="zero",
        steps_offset=1,
    )


def save_pipeline(folder: Path, vae: Any, text_encoder: Any, tokenizer: Any, unet: Any) -> None:
    """Write a StableDiffusionPipeline folder in half precision, its weights readable by every user."""
    import torch
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline(
        vae=vae.to(torch.float16),
        text_encoder=text_encoder.to(torch.float16),
        tokenizer=tokenizer,
        unet=unet.to(torch.float16),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
