"""Requests in, pictures out: one resident base model, LoRAs merged in and out, prompts in batches of fixed shape."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from punklab.diffusion import kohya_keys, lora, prompt, sampling
from punklab.diffusion.base import BaseModel
from punklab.diffusion.devices import pick_device
from punklab.diffusion.merge import MergedLora
from punklab.diffusion.request import RenderRequest
from punklab.pixels.finish import finish_of

if TYPE_CHECKING:
    import torch

REQUEST_KEY = "punklab.request"
MOST_PIXELS_DECODED = 2**20  # at once: four pictures of 512x512, so that a batch of 8 fits a small card


class RenderError(Exception):
    """A request cannot be drawn; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    request: RenderRequest
    raw: Image.Image = field(repr=False)  # as the model drew it
    finished: Image.Image | None = field(repr=False)  # 24x24 pixel art, when the request asks for it
    seconds: float  # its share of the batch
    device: str  # cuda, mps or cpu

    def raw_png(self) -> bytes:
        """The raw picture, its request in the metadata."""
        return _png(self.raw, self.request)

    def finished_png(self) -> bytes:
        """The 24x24, its request in the metadata. Raises ValueError when none was asked for."""
        if self.finished is None:
            raise ValueError("This request asked for no 24x24.")
        return _png(self.finished, self.request)


def request_of(png: Path | io.BytesIO) -> RenderRequest | None:
    """The request that a PNG of ours carries; None for other pictures."""
    with Image.open(png) as image:
        image.load()
        written = image.info.get(REQUEST_KEY)
    return RenderRequest.from_json(written) if isinstance(written, str) else None


def plan_classes(n: int, classes: Sequence[int]) -> list[int]:
    """Batch classes, the largest first, that together hold `n` requests: fewest pictures drawn and batches begun.

    A begun batch costs about as much as one picture more, so seven requests go into one batch of 8, six into 4 and 2."""
    best: list[list[int]] = [[]]
    for total in range(1, n + 1):
        plans = [[*best[max(0, total - size)], size] for size in classes]
        best.append(min(plans, key=lambda plan: (sum(plan) + len(plan), len(plan))))
    return sorted(best[n], reverse=True)


class Renderer:
    """A base model on a device. Not for several threads at once."""

    def __init__(self, base: BaseModel, device: str = "auto") -> None:
        """Load the model. Raises BaseError (no files, not rendered) and DeviceError."""
        import torch
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would draw into a worker's log
        files = base.files
        self.base = base
        self._base_hash = base.fingerprint
        self.device = pick_device(device)
        dtype = getattr(torch, base.profile.dtypes[self.device])
        self._tokenizer = CLIPTokenizer.from_pretrained(files / "tokenizer", local_files_only=True)
        self._text_encoder = self._load(CLIPTextModel, "text_encoder", dtype)
        self._unet = self._load(UNet2DConditionModel, "unet", dtype)
        self._vae = self._load(AutoencoderKL, "vae", dtype)
        self._scale = 2 ** (len(self._vae.config.block_out_channels) - 1)  # pixels per latent
        self._scheduler_config = sampling.read_config(files / "scheduler")
        self._merged = MergedLora({"unet": self._unet, "text_encoder": self._text_encoder})
        self._lora: tuple[str, float] | None = None
        self._verified: set[tuple[str, Path, int, int]] = set()  # SHA-256, file, size, time of change

    def render(
        self,
        requests: Sequence[RenderRequest],
        lora_paths: Mapping[str, Path] | None = None,
        on_batch: Callable[[Sequence[Rendered]], None] | None = None,
    ) -> list[Rendered]:
        """A picture for each request, in their order; `on_batch` gets each batch as soon as it is drawn.

        `lora_paths` gives the file of each LoRA by SHA-256. Raises RenderError and LoraError before anything is drawn when
        a request is for another base, a file is missing, altered or no LoRA for this base; RenderError when the
        device runs out of memory or draws nothing."""
        files = {sha256: self._checked(sha256, lora_paths or {}) for sha256 in _loras(requests)}
        for request in requests:
            self._refuse(request)
        drawn: dict[int, Rendered] = {}
        for batch in _batches(requests):
            first = requests[batch[0]]
            self._use(first, files)
            pictures = self._draw([requests[i] for i in batch])
            drawn.update(zip(batch, pictures, strict=True))
            if on_batch is not None:
                on_batch(pictures)
        return [drawn[i] for i in range(len(requests))]

    def _load(self, model_class: Any, part: str, dtype: Any) -> Any:
        import torch

        folder = self.base.files / part
        variant = "fp16" if ".fp16." in kohya_keys.weights_file(folder).name else None
        model = model_class.from_pretrained(
            folder, dtype=dtype, variant=variant, use_safetensors=True, local_files_only=True
        )
        model = model.to(self.device).eval().requires_grad_(False)
        # a tenth faster for convolutions on CPU and CUDA
        return model if self.device == "mps" else model.to(memory_format=torch.channels_last)

    def _refuse(self, request: RenderRequest) -> None:
        if request.base != self.base.name or request.base_hash != self._base_hash:
            raise RenderError(
                f"The request is for {request.base} ({request.base_hash[:12]}), this renderer holds {self.base.name} "
                f"({self._base_hash[:12]})."
            )
        if request.finish is not None:
            try:
                finish_of(request.finish)
            except ValueError as error:
                raise RenderError(f"{error}.") from error

    def _checked(self, sha256: str, paths: Mapping[str, Path]) -> Path:
        if sha256 not in paths:
            raise RenderError(f"There is no file for the LoRA with SHA-256 {sha256}.")
        path = Path(paths[sha256])
        state = path.stat() if path.is_file() else None
        if state is not None and (sha256, path, state.st_size, state.st_mtime_ns) in self._verified:
            return path  # a visitor's picture does not wait for the hash of the same file again
        facts = lora.read_header(path)
        if facts.sha256 != sha256:
            raise RenderError(f"{path.name} was altered: its SHA-256 is {facts.sha256}, not {sha256}.")
        lora.check_for_base(facts, self.base)
        if state is not None:
            self._verified.add((sha256, path, state.st_size, state.st_mtime_ns))
        return path

    def _use(self, request: RenderRequest, files: Mapping[str, Path]) -> None:
        """Merge the request's LoRA, if another state is in the weights."""
        from safetensors.torch import load

        wanted = (request.lora_sha256, request.lora_weight) if request.lora_sha256 else None
        if wanted == self._lora:
            return
        self._lora = None  # should the merging fail, the base is what is left
        if wanted is None:
            self._merged.remove()
        else:
            self._merged.merge(load(files[wanted[0]].read_bytes()), wanted[1])
        self._lora = wanted

    def _draw(self, requests: Sequence[RenderRequest]) -> list[Rendered]:
        import torch

        began = time.perf_counter()
        first = requests[0]
        padded = [*requests, *[requests[-1]] * (first.batch_class - len(requests))]
        try:
            with torch.inference_mode(), _repeatable():
                pixels = self._pixels(padded)
        except torch.OutOfMemoryError as error:
            raise RenderError(
                f"{self.device} has too little memory for {first.batch_class} pictures of {first.width}x{first.height}."
            ) from error
        images = [Image.fromarray(each) for each in pixels[: len(requests)]]
        seconds = (time.perf_counter() - began) / len(requests)
        return [
            Rendered(
                request=request,
                raw=image,
                finished=finish_of(request.finish)(image) if request.finish else None,
                seconds=seconds,
                device=self.device,
            )
            for request, image in zip(requests, images, strict=True)
        ]

    def _pixels(self, requests: Sequence[RenderRequest]) -> Any:
        """The pictures of one batch as an array (n, height, width, 3) of bytes."""
        import torch

        first = requests[0]
        channels, height, width = self._unet.config.in_channels, first.height // self._scale, first.width // self._scale
        noise = sampling.first_noise([request.seed for request in requests], channels, height, width).to(self.device)
        scheduler = sampling.make_scheduler(first.scheduler, self._scheduler_config)
        latents = sampling.denoise(
            self._unet, scheduler, noise, self._states(requests), steps=first.steps, guidance=first.guidance
        )
        latents = (latents / self._vae.config.scaling_factor).to(self._vae.dtype)
        at_once = max(1, MOST_PIXELS_DECODED // (first.width * first.height))
        decoded = torch.cat([self._vae.decode(some, return_dict=False)[0] for some in latents.split(at_once)])
        if not torch.isfinite(decoded).all():
            raise RenderError(f"{self.device} drew values that are no numbers for {first.prompt[:80]!r}.")
        shares = (decoded.float() / 2 + 0.5).clamp(0, 1)
        return (shares * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def _states(self, requests: Sequence[RenderRequest]) -> torch.Tensor:
        """What the UNet is told: the negative prompts' states before the prompts', where guidance needs them.

        Each text is encoded by itself, so that its states depend on no neighbour."""
        import torch

        prompts = [request.prompt for request in requests]
        texts = [*[request.negative_prompt for request in requests], *prompts] if requests[0].guidance > 1 else prompts
        length = requests[0].max_token_length
        encoded = {
            text: prompt.encode([text], self._tokenizer, self._text_encoder, length) for text in dict.fromkeys(texts)
        }
        return torch.cat([encoded[text] for text in texts])


_resident: dict[tuple[str, str], Renderer] = {}


def resident(base: BaseModel, device: str = "auto") -> Renderer:
    """This process's renderer of `base`: loaded once, and replaced when another base or device is asked for."""
    key = (base.fingerprint, pick_device(device))
    if key not in _resident:
        _resident.clear()  # before the next is loaded: two may not fit the memory
        _resident[key] = Renderer(base, key[1])
    return _resident[key]


def _loras(requests: Sequence[RenderRequest]) -> list[str]:
    return list(dict.fromkeys(request.lora_sha256 for request in requests if request.lora_sha256))


def _batches(requests: Sequence[RenderRequest]) -> Iterator[list[int]]:
    """Indices of requests that go into one batch: equal settings, at most the batch class; one LoRA after the other."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault((request.lora_sha256 or "", request.lora_weight, *request.settings()), []).append(i)
    loras = list(dict.fromkeys(key[:2] for key in groups))
    for key in sorted(groups, key=lambda key: loras.index(key[:2])):
        group = groups[key]
        size = requests[group[0]].batch_class
        yield from (group[start : start + size] for start in range(0, len(group), size))


@contextmanager
def _repeatable() -> Iterator[None]:
    """Only cuDNN's repeatable algorithms, chosen by shape and not by stopwatch."""
    import torch

    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _png(image: Image.Image, request: RenderRequest) -> bytes:
    info = PngInfo()
    info.add_text(REQUEST_KEY, request.to_json())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
