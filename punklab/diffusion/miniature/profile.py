"""What lies beside the weights: how this base is rendered, and how LoRAs on it are trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from punklab.files import sha256_of, write_whole

# Learning rates are some forty times SD 1.5's: so small a network moves little per step. Only convolutions work at the full
# resolution, so a LoRA without them cannot draw a clean outline.
PROFILE: dict[str, Any] = {
    "name": "miniature",
    "size": 96,
    "steps": 12,
    "guidance": 1.5,
    "scheduler": "dpmsolver++",
    "prediction_type": "v_prediction",
    "max_token_length": 225,
    "lora_targets": "attention+ff+proj+conv",
    "lora_modules": {
        "unet": [
            "to_q",
            "to_k",
            "to_v",
            "to_out.0",
            "ff.net.0.proj",
            "ff.net.2",
            "proj_in",
            "proj_out",
            "conv1",
            "conv2",
            "conv_shortcut",
        ],
        "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    },
    "network_dim": 8,
    "network_alpha": 4,
    "unet_lr": 4e-3,
    "text_encoder_lr": 4e-4,
    "train_batch_size": 8,
    "batch_classes": {"cpu": [1, 2, 4, 6, 8], "cuda": [1, 2, 4, 8], "mps": [1, 2, 4, 8]},
}


def write_profile(folder: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Write `profile.json` beside the weights: how this base is rendered and how LoRAs on it are trained."""
    profile = {
        **PROFILE,
        "weights_sha256": sha256_of(folder / "unet" / "diffusion_pytorch_model.safetensors"),
        "training": training,
    }
    write_whole(folder / "profile.json", (json.dumps(profile, indent=2) + "\n").encode())
    return profile
