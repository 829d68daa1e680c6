"""What `make lab` puts into an empty lab: people, captions, a run, a release of the base model to draw with meanwhile."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group, User

from deployment.models import Release
from deployment.promotion import promote_base
from punklab.diffusion.base import BaseModel
from punklab.diffusion.miniature.demo import write_demo_set
from punklab.secret import kept_secret
from runs.bases import base_for
from runs.caption_import import CaptionImportError, import_captions
from runs.captions import find_version
from runs.models import CaptionVersion, TrainingRun
from runs.training import create_run, start

PEOPLE = {
    "artist": "publisher",
    "publisher": "publisher",
    "operator": "operator",
    "reviewer": "reviewer",
    "viewer": "viewer",
}
DEMO_VERSION = "demo_v1"
DEMO_PICTURES = 60
EPOCHS = 6
FEW_PICTURES = 100  # below that each counts twice an epoch, or the run is over before it has learnt

CONFIG = """\
# The demo's training: kohya's own keys, read by our trainer and by kohya alike.
pretrained_model_name_or_path = "{base}"
caption_extension = ".txt"
resolution = "{size},{size}"
network_module = "networks.lora"
network_dim = 8
network_alpha = 4
network_args = ["conv_dim=8", "conv_alpha=4"]
unet_lr = {unet_lr}
text_encoder_lr = {text_encoder_lr}
learning_rate = {unet_lr}
optimizer_type = "AdamW"
lr_scheduler = "cosine"
lr_warmup_steps = 5
train_batch_size = 8
max_train_epochs = {epochs}
save_every_n_epochs = 1
save_precision = "fp16"
mixed_precision = "no"
max_token_length = {max_token_length}
shuffle_caption = false
keep_tokens = 3
caption_dropout_rate = 0.05
min_snr_gamma = 5
max_grad_norm = 1.0
cache_latents = true
seed = 42
output_name = "{name}"
"""


def make_people() -> dict[str, str]:
    """Make the demo people where they are missing; return name to password, the artist's first."""
    passwords = {}
    for name, role in PEOPLE.items():
        password = kept_secret(Path(settings.STATE_DIR) / "demo-passwords" / name)[:12]
        user, made = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": name == "artist"}
        )
        if made:
            user.set_password(password)
            user.save()
            user.groups.set(Group.objects.filter(name=role))
        passwords[name] = password
    return passwords


def import_punks(folder: Path | None) -> CaptionVersion:
    """Import the caption versions in `folder`, or the demo set; return the one to train, the last by name.

    Raises CaptionImportError naming the folder or file and the mend.
    """
    if folder is None:
        if not CaptionVersion.objects.filter(version_name=DEMO_VERSION).exists():
            with tempfile.TemporaryDirectory(prefix="punklab-demo-") as made:
                write_demo_set(Path(made), n=DEMO_PICTURES)
                import_captions(Path(made), None, DEMO_VERSION)
        return find_version(DEMO_VERSION)
    found = caption_folders(folder)
    for captions, images in found:
        import_captions(captions, images, captions.name)
    return find_version(found[-1][0].name)


def caption_folders(folder: Path) -> list[tuple[Path, Path]]:
    """(captions, images) folders below `folder`, by name: pairs side by side, or `images/` beside caption folders."""
    if not folder.is_dir():
        raise CaptionImportError(f"{folder} is no folder. Give PUNKS a folder of PNG + TXT pairs.")
    images = folder / "images"
    if images.is_dir():
        beside = sorted(
            path for path in folder.iterdir() if path.is_dir() and path != images and any(path.glob("*.txt"))
        )
        if not beside:
            raise CaptionImportError(f"{folder} has images/ but no folder with .txt captions beside it.")
        return [(path, images) for path in beside]
    if not any(folder.glob("*.txt")):
        raise CaptionImportError(
            f"{folder} holds neither PNG + TXT pairs nor images/ beside caption folders. See README, 'Your own punks'."
        )
    return [(folder.resolve(), folder.resolve())]


def start_run(version: CaptionVersion) -> TrainingRun:
    """Create and start the demo's run of `version` unless that was done before; return it."""
    artist = User.objects.get(username="artist")
    base = base_for()
    name = f"{version.version_name}_{base.name.rsplit('/', 1)[-1]}"
    run = TrainingRun.objects.filter(run_name=name).first()
    if run is None:
        repeats = 2 if version.captions.count() < FEW_PICTURES else 1
        run = create_run(name, captions=version, config_text=config_for(base, name), repeats=repeats, by=artist)
    if not run.jobs.exists():
        start(run, by=artist)
    return run


def config_for(base: BaseModel, name: str) -> str:
    """Return the demo's training config as kohya's TOML."""
    profile = base.profile
    return CONFIG.format(
        base=base.name,
        size=profile.size,
        unet_lr=profile.unet_lr,
        text_encoder_lr=profile.text_encoder_lr,
        max_token_length=profile.max_token_length,
        epochs=EPOCHS,
        name=name,
    )


def release_base(version: CaptionVersion) -> None:
    """Put the base model itself behind the public page while nothing is live."""
    if Release.objects.live() is None:
        promote_base(
            by=User.objects.get(username="artist"),
            reason="A demo: the base model draws until an epoch is promoted.",
            caption_version=version,
            is_demo=True,
        )
