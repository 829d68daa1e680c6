"""Rows for tests: plain functions, every default can be overridden. Files go below settings.STORAGE_DIR."""

from __future__ import annotations

import hashlib
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.utils import timezone
from PIL import Image
from safetensors.numpy import save

from evaluation.models import EpochResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import BaseModel
from runs.bases import base_for
from runs.models import Caption, CaptionVersion, Checkpoint, TrainingImage, TrainingJob, TrainingRun

_numbers = itertools.count(1)

CONFIG = """\
network_module = "networks.lora"
network_dim = 4
network_alpha = 2
learning_rate = 0.002
unet_lr = 0.002
text_encoder_lr = 0.0005
optimizer_type = "AdamW"
lr_scheduler = "constant"
max_train_epochs = 2
train_batch_size = 2
mixed_precision = "no"
save_every_n_epochs = 1
save_precision = "fp16"
save_model_as = "safetensors"
caption_extension = ".txt"
max_token_length = 225
resolution = "96,96"
seed = 42
"""

CAPTION = (
    "pixel art, 24x24, portrait of bespoke punk lady, brown hair (#5a3a22), blue eyes (#3366cc), "
    "medium skin tone (#c68642), neutral expression, red lips (#aa3344), green background (#22aa66)"
)


def make_user(role: str = "", **overrides: Any) -> User:
    """A person in the group `role` (viewer, reviewer, operator, publisher), or an outsider without one."""
    overrides.setdefault("username", f"{role or 'outsider'}-{next(_numbers)}")
    user = User.objects.create_user(is_staff=bool(role), **overrides)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def make_png(seed: int = 1, size: int = 24) -> bytes:
    """A picture of four flat squares in seeded colours, `size` pixels wide: the bytes of an RGB PNG."""
    colours = np.random.default_rng(seed).integers(0, 256, size=(2, 2, 3), dtype=np.uint8)
    pixels = np.kron(colours, np.ones((size // 2, size // 2, 1), dtype=np.uint8))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def make_caption_version(name: str | None = None, *, pairs: int = 4, caption: str = CAPTION) -> CaptionVersion:
    """A caption version with `pairs` pictures, each described by `caption`."""
    name = name or f"captions_{next(_numbers)}"
    version = CaptionVersion.objects.create(
        version_name=name, num_caption_files=pairs, includes_hex_codes="#" in caption, detail_level="detailed"
    )
    for number in range(1, pairs + 1):
        png = make_png(number)
        image, _ = TrainingImage.objects.get_or_create(
            sha256=hashlib.sha256(png).hexdigest(), defaults={"png": png, "width": 24, "height": 24}
        )
        Caption.objects.create(version=version, image=image, stem=f"lady_{number:03d}", text=caption)
    return version


def make_run(**overrides: Any) -> TrainingRun:
    """A run of the miniature with two epochs; no job, no checkpoints."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "run_name": f"run_{number}",
        "run_date": timezone.now(),
        "status": "in_progress",
        "base_model": "miniature",
        "model_type": "other",
        "network_dim": 4,
        "network_alpha": 2,
        "max_train_epochs": 2,
        "output_name": f"punk_{number}",
        "overall_verdict": "pending",
    }
    return TrainingRun.objects.create(**(values | overrides))


def make_job(**overrides: Any) -> TrainingJob:
    """A queued job, of a new run unless one is given."""
    overrides.setdefault("run", None)
    run = overrides.pop("run") or make_run()
    values: dict[str, Any] = {"config": CONFIG, "folder": f"training/{run.pk}/{next(_numbers)}"}
    return TrainingJob.objects.create(run=run, **(values | overrides))


def write_lora(
    path: Path, *, seed: int = 1, dim: int = 4, alpha: float = 2.0, base: BaseModel | None = None, **metadata: str
) -> Path:
    """A LoRA file of seeded noise for the attention of `base` (the miniature), in kohya's format. No torch."""
    base = base or base_for("miniature")
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in kohya_keys.shapes(base.files).items():
        if len(shape) == 2 and "attn2_to_" in name:
            tensors[name + lora.DOWN] = random.normal(0, 0.1, (dim, shape[1])).astype(np.float16)
            tensors[name + lora.UP] = random.normal(0, 0.1, (shape[0], dim)).astype(np.float16)
            tensors[name + lora.ALPHA] = np.asarray(alpha, dtype=np.float16)
    facts = {"ss_network_dim": str(dim), "ss_network_alpha": str(alpha)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save(tensors, metadata=lora.base_metadata(base) | facts | metadata))
    return path


def make_checkpoint(**overrides: Any) -> Checkpoint:
    """A checkpoint of a new run (or `run`) with a real LoRA file; `epoch` is 1 unless given."""
    run = overrides.pop("run", None) or make_run()
    base = base_for(run.base_model)
    epoch = overrides.pop("epoch", 1)
    name = f"{run.output_name}-{epoch:06d}.safetensors"
    file = f"checkpoints/{run.pk}-{name}"
    header = lora.read_header(write_lora(Path(settings.STORAGE_DIR) / file, seed=next(_numbers), ss_epoch=str(epoch)))
    values: dict[str, Any] = {
        "file": file,
        "original_name": name,
        "sha256": header.sha256,
        "size": header.size,
        "base_model": base.name,
        "base_fingerprint": base.fingerprint,
        "header": {"dim": header.dim, "alpha": header.alpha, "epoch": epoch},
        "source": Checkpoint.Source.TRAINED,
    }
    return Checkpoint.objects.create(run=run, epoch=epoch, **(values | overrides))


def make_drawn(run: TrainingRun, epoch: int, *, prompts: int = 6, seeds: int = 2) -> EpochResult:
    """An epoch whose suite is drawn: `prompts` pictures with each of `seeds` seeds, all different; its row."""
    checkpoint = Checkpoint.objects.create(
        run=run,
        epoch=epoch,
        file=f"{run.pk}-{epoch}.safetensors",
        sha256=hashlib.sha256(f"{run.pk} {epoch}".encode()).hexdigest(),
        base_model="miniature",
        source="trained",
    )
    for number, seed in itertools.product(range(prompts), range(seeds)):
        prompt, _ = TestPrompt.objects.get_or_create(
            prompt_name=f"prompt_{number}", defaults={"prompt_text": f"a punk, number {number}"}
        )
        name = f"renders/{checkpoint.pk}-{number}-{seed}.png"
        path = Path(settings.STORAGE_DIR) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(next(_numbers) + 1000))
        TestRender.objects.create(
            checkpoint=checkpoint,
            test_prompt=prompt,
            request={"prompt": prompt.prompt_text, "seed": 42 + 1000 * seed},
            digest=f"{number}-{seed}",
            priority=number,
            is_repeat=seed > 0,
            status=Status.RENDERED,
            finished=name,
        )
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, num_test_images=prompts * seeds)
