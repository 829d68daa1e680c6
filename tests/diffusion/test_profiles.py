from __future__ import annotations

import json
import shutil

import pytest

from punklab.diffusion.base import SD15_NAME, BaseError, BaseModel, resolve_base
from punklab.diffusion.profiles import PROFILE_FILE, Family, ProfileError, read_profile


def test_old_names_mean_the_model_that_is_still_there():
    base = resolve_base(" runwayml/stable-diffusion-v1-5 ")
    assert base.name == SD15_NAME
    assert (base.profile.family, base.profile.version, base.profile.size) == (Family.SD15, "sd_v1", 512)


def test_sdxl_is_kept_and_not_rendered():
    base = resolve_base("stabilityai/stable-diffusion-xl-base-1.0")
    assert (base.profile.family, base.profile.renderable) == (Family.SDXL, False)
    with pytest.raises(BaseError, match="not rendered"):
        _ = base.files


def test_the_miniature_is_whole_and_small(miniature: BaseModel):
    assert miniature.profile.family is Family.MINIATURE
    assert all(1 in classes for classes in miniature.profile.batch_classes.values())
    assert sum(path.stat().st_size for path in miniature.files.rglob("*") if path.is_file()) < 15e6
    assert len(miniature.shapes) > 100


def test_the_fingerprint_is_of_the_weights_not_of_the_place(miniature: BaseModel, tmp_path):
    copy = tmp_path / "a folder"
    shutil.copytree(miniature.files, copy)
    moved = resolve_base("miniature", folder=copy)
    assert moved.fingerprint == miniature.fingerprint
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert moved.fingerprint != miniature.fingerprint
    weights.unlink()
    with pytest.raises(BaseError, match="not whole"):
        _ = moved.fingerprint


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(BaseError, match=r"model_index\.json"):
        resolve_base("miniature", folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"size": 100}, "size"), ({"scheduler": "x"}, "scheduler"), ({"batch_classes": {"cpu": [2]}}, "batch_classes"),
     ({"size": "96"}, "size"), ({"steps": None}, "steps")],
)  # fmt: skip
def test_a_wrong_profile_is_refused_by_what_is_wrong(miniature: BaseModel, tmp_path, change, reason):
    values = json.loads((miniature.files / PROFILE_FILE).read_text()) | change
    path = tmp_path / PROFILE_FILE
    path.write_text(json.dumps(values))
    with pytest.raises(ProfileError, match=reason):
        read_profile(path)
