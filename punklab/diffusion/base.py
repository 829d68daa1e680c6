"""Which base model a name means, where its files are, and which weights they are. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from punklab.diffusion import kohya_keys
from punklab.diffusion.header import HeaderError
from punklab.diffusion.profiles import PROFILE_FILE, SD15, SDXL, BaseProfile, read_profile
from punklab.files import sha256_of

MINIATURE = "miniature"
MINIATURE_FOLDER = Path(__file__).parent / "miniature" / "base"
SD15_NAME = "stable-diffusion-v1-5/stable-diffusion-v1-5"
# The first was deleted from the hub in 2024; the lab's rows still name it
ALIASES = {"runwayml/stable-diffusion-v1-5": SD15_NAME, "sd15": SD15_NAME, "": MINIATURE}
HUB_FILES = ("*.json", "*.txt", "*.safetensors")
WEIGHTS = ("unet", "text_encoder", "vae")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BaseError(Exception):
    """The base model cannot be used here; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    name: str  # as requests and rows carry it
    revision: str | None
    profile: BaseProfile
    folder: Path | None  # None: its files are not on this machine

    @property
    def files(self) -> Path:
        """The folder with the weights. Raises BaseError when this machine has none, or the family is not rendered."""
        if not self.profile.renderable:
            raise BaseError(f"{self.name}: {self.profile.note}")
        if self.folder is None:
            raise BaseError(
                f"The base model {self.name} is not on this machine: run `manage.py doctor`, which can fetch it, "
                "or set BASE_MODEL_FOLDER to a folder in diffusers' layout."
            )
        return self.folder

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, tokenizer and scheduler: which model this is, whatever it is called."""
        return _fingerprint(self.files)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """kohya's module name to weight shape. Raises BaseError when the files are missing or damaged."""
        return _shapes(self.files)


def resolve_base(name: str, revision: str | None = None, folder: Path | str | None = None) -> BaseModel:
    """The base model that `name` (a hub id, "miniature", or an old name of one) means.

    Files are looked for in `folder`, else beside the code (the miniature) or in the hub's cache on this machine; nothing is
    fetched. Raises BaseError when `folder` is no model in diffusers' layout."""
    name = ALIASES.get(name.strip(), name.strip())
    if folder is not None:
        found: Path | None = Path(folder)
        if not (Path(folder) / "model_index.json").is_file():
            raise BaseError(f"{folder} has no model_index.json: not a model in diffusers' layout.")
    elif name == MINIATURE:
        found = MINIATURE_FOLDER
    else:
        found = _in_hub_cache(name, revision)
    return BaseModel(name=name, revision=revision, profile=_profile(name, found), folder=found)


def fetch(base: BaseModel) -> BaseModel:
    """The same base with its files on this machine, downloaded from the hub when they are not. Raises BaseError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if base.folder is not None or not base.profile.renderable:
        return base
    try:
        folder = snapshot_download(base.name, revision=base.revision, allow_patterns=list(HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise BaseError(f"{base.name} could not be fetched from the hub: {error}") from error
    return replace(base, folder=Path(folder))


def _in_hub_cache(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        index = try_to_load_from_cache(name, "model_index.json", revision=revision)
    except HFValidationError:
        return None
    return Path(index).parent if isinstance(index, str) else None


def _profile(name: str, folder: Path | None) -> BaseProfile:
    if folder is not None and (folder / PROFILE_FILE).is_file():
        return read_profile(folder / PROFILE_FILE)
    if folder is not None and (folder / "model_index.json").is_file():
        return _profile_by_classes(folder)
    if name == MINIATURE:
        raise BaseError(f"The miniature's files are missing in {folder}: the installation is not whole.")
    return SDXL if "xl" in name.lower() else SD15


def _profile_by_classes(folder: Path) -> BaseProfile:
    pipeline = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name", "")
    if "XL" in pipeline:
        return SDXL
    unet = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    if pipeline != "StableDiffusionPipeline" or unet.get("cross_attention_dim") != SD15.text_width:
        raise BaseError(f"{folder} holds a {pipeline or 'model'} that is neither Stable Diffusion 1 nor the miniature.")
    return SD15


def _fingerprint(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in _deciding_files(folder):
        whole.update(f"{path.relative_to(folder).as_posix()} {_file_sha256(path)}\n".encode())
    return whole.hexdigest()


def _deciding_files(folder: Path) -> list[Path]:
    try:
        weights = [kohya_keys.weights_file(folder / part) for part in WEIGHTS]
    except FileNotFoundError as error:
        raise BaseError(f"The base model is not whole: {error}") from error
    settings = [path for part in (*WEIGHTS, "scheduler") for path in sorted((folder / part).glob("*config.json"))]
    words = [path for path in sorted((folder / "tokenizer").glob("*")) if path.suffix in (".json", ".txt")]
    return [*weights, *settings, *words]


def _file_sha256(path: Path) -> str:
    target = path.resolve()
    if _SHA256.fullmatch(target.name):  # the hub's cache names its large files by their SHA-256
        return target.name
    state = target.stat()
    return _content_sha256(target, state.st_size, state.st_mtime_ns)


@cache
def _content_sha256(path: Path, _size: int, _changed: int) -> str:
    return sha256_of(path)


@cache
def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    try:
        return kohya_keys.shapes(folder)
    except (HeaderError, FileNotFoundError) as error:
        raise BaseError(f"The base model in {folder} is not whole: {error}") from error
