from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import BaseModel
from punklab.diffusion.renderer import Renderer, RenderError, plan_classes, request_of, resident
from punklab.diffusion.request import SCHEDULERS, RenderRequest

pytestmark = pytest.mark.diffusion
PROMPT = "pixel art, 24x24, portrait of bespoke punk lady, pink hair (#ff66cc), crown, solid green background (#00ff00)"


@pytest.fixture(scope="module")
def renderer(miniature: BaseModel) -> Renderer:
    return resident(miniature, "cpu")


@pytest.fixture(scope="module")
def request_(miniature: BaseModel):
    def make(**changes: Any) -> RenderRequest:
        values: dict[str, Any] = {
            "base": "miniature", "base_hash": miniature.fingerprint, "prompt": PROMPT, "seed": 1, "steps": 3,
            "guidance": 1.5, "scheduler": "dpmsolver++", "width": 96, "height": 96,
        }  # fmt: skip
        return RenderRequest(**values | changes)

    return make


@pytest.fixture(scope="module")
def noisy_lora(random_lora, tmp_path_factory) -> tuple[str, Path]:
    path = random_lora(tmp_path_factory.mktemp("lora") / "noisy.safetensors")
    return lora.read_header(path).sha256, path


@pytest.fixture(scope="module")
def pipeline(miniature: BaseModel):
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        miniature.files, dtype=torch.float32, use_safetensors=True, safety_checker=None, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn_by(pipeline, request: RenderRequest) -> np.ndarray:
    import torch

    return np.asarray(
        pipeline(
            request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images[0]
    ).astype(int)


def drawn(renderer: Renderer, *requests: RenderRequest, **paths: Path) -> list[np.ndarray]:
    return [np.asarray(each.raw).astype(int) for each in renderer.render(requests, paths)]


def weights(renderer: Renderer) -> dict[str, bytes]:
    return {
        f"{part}.{name}": tensor.contiguous().numpy().tobytes()
        for part, model in (("unet", renderer._unet), ("text_encoder", renderer._text_encoder))
        for name, tensor in model.state_dict().items()
    }


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_the_base_draws_what_diffusers_own_pipeline_draws(renderer, pipeline, request_, guidance):
    request = request_(guidance=guidance, negative_prompt="blurry", steps=5)
    (ours,) = drawn(renderer, request)
    theirs = drawn_by(pipeline, request)
    assert np.abs(ours - theirs).max() <= 1
    assert theirs.std() > 10


def test_a_merged_lora_draws_what_diffusers_own_loader_makes_of_it(renderer, pipeline, request_, noisy_lora):
    sha256, path = noisy_lora
    request = request_(lora_sha256=sha256, steps=5)
    (ours,) = drawn(renderer, request, **{sha256: path})
    base = drawn_by(pipeline, request)
    pipeline.load_lora_weights(path)
    try:
        theirs = drawn_by(pipeline, request)
        layers = [
            layer
            for model in (pipeline.unet, pipeline.text_encoder)
            for layer in model.modules()
            if getattr(layer, "lora_A", None)
        ]
    finally:
        pipeline.unload_lora_weights()
    assert len(layers) == len(lora.read_header(path).modules)
    assert np.abs(theirs - base).mean() > 5
    assert np.abs(ours - theirs).max() <= 2


def test_the_base_comes_back_bit_for_bit(renderer, request_, noisy_lora, random_lora, tmp_path):
    renderer.render([request_(steps=1)])
    before = weights(renderer)
    other = random_lora(tmp_path / "other.safetensors", seed=2, rank=2, only="attn")
    files = {noisy_lora[0]: noisy_lora[1], lora.read_header(other).sha256: other}
    first, second = files
    renderer.render([request_(steps=1, lora_sha256=first), request_(steps=1, lora_sha256=second)], files)
    assert weights(renderer) != before
    renderer.render([request_(steps=1)])
    assert weights(renderer) == before


def test_an_image_depends_on_its_request_alone(renderer, miniature, request_, noisy_lora):
    sha256, path = noisy_lora
    wanted = request_(batch_class=4, seed=7, finish="punk24-1")
    others = [request_(batch_class=4, seed=seed, prompt=f"{seed} lad, afro") for seed in range(5)]
    bent = request_(batch_class=4, lora_sha256=sha256)
    results = [
        renderer.render([wanted]),
        renderer.render([*others[:3], wanted]),
        renderer.render([others[4], wanted, *others]),
        renderer.render([bent, *others, wanted], {sha256: path}),
        Renderer(miniature, "cpu").render([wanted]),
    ]
    pngs = {each.raw_png() + each.finished_png() for result in results for each in result if each.request == wanted}
    assert len(pngs) == 1


def test_pictures_come_back_in_order_and_batch_by_batch(renderer, request_):
    requests = [request_(seed=i, steps=1 + i % 2, batch_class=2) for i in range(5)]
    batches: list[int] = []
    rendered = renderer.render(requests, on_batch=lambda batch: batches.append(len(batch)))
    assert [each.request for each in rendered] == requests
    assert batches == [2, 1, 2]
    assert all(each.seconds > 0 and each.finished is None for each in rendered)


def test_strength_negative_prompt_seed_and_windows_each_count(renderer, request_, noisy_lora):
    sha256, path = noisy_lora
    long = PROMPT + ", crown" * 40
    pairs = {
        "strength": (request_(lora_sha256=sha256), request_(lora_sha256=sha256, lora_weight=0.5)),
        "negative prompt": (request_(), request_(negative_prompt="pink hair")),
        "seed": (request_(), request_(seed=2)),
        "scheduler": (request_(), request_(scheduler="ddim")),
        "end of a long prompt": (
            request_(prompt=long, max_token_length=225),
            request_(prompt=long + " red", max_token_length=150),
        ),
    }
    for what, (one, other) in pairs.items():
        first, second = drawn(renderer, one, other, **{sha256: path})
        assert np.abs(first - second).max() > 0, what
    base, weightless = drawn(renderer, request_(), request_(lora_sha256=sha256, lora_weight=0.0), **{sha256: path})
    assert np.array_equal(base, weightless)


def test_all_schedulers_draw_the_same_punk(renderer, request_):
    pictures = drawn(renderer, *[request_(scheduler=name, steps=20) for name in SCHEDULERS])
    for name, picture in zip(SCHEDULERS, pictures, strict=True):
        assert np.abs(picture - pictures[0]).mean() < 25, name


def test_a_png_carries_its_request(renderer, request_):
    (rendered,) = renderer.render([request_(finish="punk24-1", negative_prompt="é “x”")])
    assert rendered.raw.size == (96, 96)
    assert rendered.finished is not None
    assert rendered.finished.size == (24, 24)
    for png in (rendered.raw_png(), rendered.finished_png()):
        assert request_of(io.BytesIO(png)) == rendered.request
    buffer = io.BytesIO()
    rendered.raw.save(buffer, "PNG")
    assert request_of(buffer) is None
    with pytest.raises(ValueError, match="no 24x24"):
        dataclasses.replace(rendered, finished=None).finished_png()


def test_requests_that_cannot_be_drawn_are_refused_before_anything_is(renderer, request_, noisy_lora, tmp_path):
    sha256, path = noisy_lora
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(path.read_bytes()[:-1] + b"\x01")
    cases = [
        (request_(lora_sha256="0" * 64), {}, RenderError, "no file for the LoRA"),
        (request_(lora_sha256=sha256), {sha256: altered}, RenderError, "altered"),
        (request_(lora_sha256=sha256), {sha256: tmp_path / "gone.safetensors"}, lora.LoraError, "gone.safetensors"),
        (request_(base_hash="0" * 64), {}, RenderError, "this renderer holds miniature"),
        (request_(base="other"), {}, RenderError, "The request is for other"),
        (request_(finish="punk99"), {}, RenderError, "punk99"),
    ]
    batches: list[Any] = []
    for request, files, error, reason in cases:
        with pytest.raises(error, match=reason):
            renderer.render([request_(), request], files, on_batch=batches.append)
    assert batches == []


def test_a_diverged_lora_is_refused_and_leaves_the_base(renderer, request_, miniature, tmp_path):
    import torch

    before = drawn(renderer, request_())[0]
    name, shape = next(iter(kohya_keys.shapes(miniature.files).items()))
    tensors = {
        name + lora.DOWN: torch.full((1, *shape[1:]), torch.nan),
        name + lora.UP: torch.ones(shape[0], 1, *(1,) * (len(shape) - 2)),
    }
    path = tmp_path / "nan.safetensors"
    lora.save_lora(path, tensors, lora.base_metadata(miniature))
    sha256 = lora.read_header(path).sha256
    with pytest.raises(lora.LoraError, match="diverged"):
        renderer.render([request_(lora_sha256=sha256)], {sha256: path})
    assert np.array_equal(drawn(renderer, request_())[0], before)


def test_one_renderer_is_resident(renderer, miniature):
    assert resident(miniature, "auto" if renderer.device == "cpu" else "cpu") is renderer


@pytest.mark.parametrize(
    ("n", "classes"),
    [(0, []), (1, [1]), (2, [2]), (3, [4]), (5, [4, 1]), (6, [4, 2]), (7, [8]), (13, [8, 4, 1]), (16, [8, 8])],
)
def test_requests_are_dealt_into_few_full_batches(n, classes):
    assert plan_classes(n, (1, 2, 4, 8)) == classes
