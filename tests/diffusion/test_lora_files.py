from __future__ import annotations

import json
import os
import stat
import struct
from pathlib import Path

import pytest

from punklab.diffusion import header, kohya_keys, lora
from punklab.diffusion.base import BaseModel, resolve_base

pytestmark = pytest.mark.diffusion


def written(path: Path, content: object, data: bytes = b"") -> Path:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def entry(start: int, end: int, shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


A, B = "lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight"


def test_a_written_lora_says_what_it_is(tmp_path, random_lora, miniature: BaseModel, sha256):
    path = random_lora(tmp_path / "epochs" / "run-000003.safetensors", rank=4, alpha=2.0, ss_epoch="3")
    facts = lora.read_header(path)
    assert (facts.dim, facts.alpha, facts.conv_dim, facts.conv_alpha, facts.epoch) == (4, 2.0, 4, 2.0, 3)
    assert (facts.sha256, facts.size) == (sha256(path), path.stat().st_size)
    assert facts.base_version == miniature.profile.version
    assert facts.n_unet > facts.n_text_encoder > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]
    lora.check_for_base(facts, miniature)


def test_a_lora_without_alphas_counts_at_full_strength(tmp_path):
    path = written(tmp_path / "a.safetensors", {A: entry(0, 16, [2, 2]), B: entry(16, 32, [2, 2])}, bytes(32))
    assert lora.read_header(path).alpha == 2


@pytest.mark.parametrize(
    ("content", "data", "reason"),
    [
        (b"", b"", "not JSON"),
        (b"{", b"", "not JSON"),
        (b"[" * 100_000, b"", "not JSON"),
        (b"[]", b"", "not a JSON object"),
        ({}, b"", "no tensors"),
        ({"__metadata__": {"a": 1}}, b"", "metadata"),
        ({A: entry(0, 16, [2, 2]), B: entry(8, 24, [2, 2])}, bytes(24), "overlaps"),
        ({A: entry(0, 16, [2, 2]), B: entry(20, 36, [2, 2])}, bytes(36), "hole"),
        ({A: entry(0, 16, [2, 2]), B: entry(16, 32, [2, 2])}, bytes(31), "truncated"),
        ({A: entry(0, 16, [2, 2]), B: entry(16, 32, [2, 2])}, bytes(33), "behind"),
        ({A: entry(0, 16, [2, 3])}, bytes(16), "shape"),
        ({A: entry(-16, 0, [2, 2])}, bytes(16), "damaged"),
        ({A: entry(0, 16, [2**60, 2**60])}, bytes(16), "damaged"),
        ({A: {"dtype": "X9", "shape": [], "data_offsets": [0, 0]}}, b"", "damaged"),
        ({A: entry(0, 16, [2, 2])}, bytes(16), "no matching pair"),
        ({B: entry(0, 16, [2, 2])}, bytes(16), "no tensors|no lora_down|named"),
        ({A: entry(0, 16, [2, 2]), B: entry(16, 28, [3, 1])}, bytes(28), "no matching pair"),
        ({"unet.conv_in.weight": entry(0, 16, [2, 2])}, bytes(16), "named otherwise"),
        ({"lora_unet_x.hada_w1_a": entry(0, 16, [2, 2])}, bytes(16), "LoHa"),
        (
            {A: entry(0, 16, [2, 2]), B: entry(16, 32, [2, 2]), "lora_unet_x.alpha": entry(32, 36, [])},
            bytes(32) + struct.pack("<f", float("nan")),
            "nan",
        ),
    ],
)
def test_damaged_and_hostile_files_are_refused_with_the_reason(tmp_path, content, data, reason):
    path = written(tmp_path / "bad.safetensors", content, data)
    with pytest.raises(lora.LoraError, match=reason) as caught:
        lora.read_header(path)
    assert "bad.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"\x01", "no safetensors file is that short"),
        (b"PK\x03\x04" + bytes(100), "pickle"),
        (b"\x80\x02}q\x00." + bytes(100), "pickle"),
        (b"\xff" * 7 + b"\x7f" + b"{}", "truncated"),
        (b"<!DOCTYPE html><html>" * 10, "truncated"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, raw, reason):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(raw)
    with pytest.raises(lora.LoraError, match=reason):
        lora.read_header(path)


def test_a_huge_header_is_not_read(tmp_path):
    path = tmp_path / "bad.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**40))
        file.truncate(2**40 + 8)  # sparse: a terabyte that takes no room
    with pytest.raises(lora.LoraError, match="not believed"):
        lora.read_header(path)


@pytest.mark.parametrize("cut", [1, 1000, -9])
def test_a_truncated_lora_is_refused(tmp_path, random_lora, cut):
    path = random_lora(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(lora.LoraError, match=r"cut\.safetensors"):
        lora.read_header(path)


def test_a_lora_for_stable_diffusion_is_refused_by_name(tmp_path, miniature: BaseModel):
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {name + lora.DOWN: entry(0, 4 * 768, [1, 768]), name + lora.UP: entry(4 * 768, 4 * 832, [64, 1])}
    metadata = {"ss_base_model_version": "sd_v1"}
    path = written(tmp_path / "old.safetensors", {"__metadata__": metadata, **tensors}, bytes(4 * 832))
    facts = lora.read_header(path)
    with pytest.raises(lora.LoraError, match=r"made for Stable Diffusion 1 \(sd_v1\), not for miniature"):
        lora.check_for_base(facts, miniature)
    lora.check_for_base(facts, resolve_base("runwayml/stable-diffusion-v1-5"))


def test_a_lora_for_sdxl_is_refused_whatever_its_metadata_says(tmp_path, miniature: BaseModel):
    name = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    tensors = {name + lora.DOWN: entry(0, 16, [2, 2]), name + lora.UP: entry(16, 32, [2, 2])}
    facts = lora.read_header(written(tmp_path / "xl.safetensors", tensors, bytes(32)))
    for base in (miniature, resolve_base("stable-diffusion-v1-5/stable-diffusion-v1-5")):
        with pytest.raises(lora.LoraError, match="Stable Diffusion XL"):
            lora.check_for_base(facts, base)


def test_a_lora_for_the_miniature_is_refused_by_stable_diffusion_and_by_other_weights(tmp_path, random_lora, miniature):
    facts = lora.read_header(random_lora(tmp_path / "a.safetensors"))
    with pytest.raises(lora.LoraError, match="not for stable-diffusion-v1-5"):
        lora.check_for_base(facts, resolve_base("stable-diffusion-v1-5/stable-diffusion-v1-5"))
    facts = lora.read_header(random_lora(tmp_path / "b.safetensors", ss_new_sd_model_hash="0" * 64))
    with pytest.raises(lora.LoraError, match="other weights of the miniature"):
        lora.check_for_base(facts, miniature)


def test_saving_leaves_nothing_half_written(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    tensor = torch.zeros(1, 1)
    with pytest.raises(OSError, match="No space"):
        lora.save_lora(tmp_path / "epochs" / "a.safetensors", {"lora_unet_x.lora_down.weight": tensor}, {})
    assert list((tmp_path / "epochs").iterdir()) == []
    with pytest.raises(ValueError, match="kohya's name"):
        lora.save_lora(tmp_path / "a.safetensors", {"unet.x": tensor}, {})


def test_shapes_from_the_header_are_those_of_the_modules(miniature: BaseModel):
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(miniature.files / "unet", use_safetensors=True)
    text_encoder = CLIPTextModel.from_pretrained(miniature.files / "text_encoder", use_safetensors=True)
    real = {}
    for part, model in zip(kohya_keys.PARTS, (unet, text_encoder), strict=True):
        for name, path in kohya_keys.paths(model, part).items():
            real[name] = tuple(model.get_submodule(path).weight.shape)
    assert kohya_keys.shapes(miniature.files) == real
    chosen = kohya_keys.targets(unet, text_encoder, miniature.profile, conv=True)
    assert {target.name for target in chosen} <= real.keys()
    assert {target.wide for target in chosen} == {True, False}


def test_header_reader_agrees_with_safetensors(miniature: BaseModel):
    from safetensors import safe_open

    file = kohya_keys.weights_file(miniature.files / "vae")
    ours = header.read(file).tensors
    with safe_open(file, "np") as theirs:
        assert {name: list(facts.shape) for name, facts in ours.items()} == {
            name: theirs.get_slice(name).get_shape()
            for name in theirs.keys()  # noqa: SIM118
        }
