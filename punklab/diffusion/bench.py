"""`python -m punklab.diffusion.bench`: how fast a baseline and ten epochs are drawn, against two others in the same run.

The old way: a script that loads pipeline and LoRA anew for each checkpoint and draws one prompt at a time. The bare loop: diffusers'
pipeline with one LoRA merged, in the same batches, nothing around it.

The three take turns checkpoint by checkpoint, and the fastest of each counts for all checkpoints, beside its fastest baseline:
what else runs on the machine only ever slows. Ends with status 1 when a number is missed."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from punklab.diffusion import kohya_keys, lora
from punklab.diffusion.base import BaseModel, resolve_base
from punklab.diffusion.renderer import Renderer, plan_classes
from punklab.diffusion.request import RenderRequest

log = logging.getLogger(__name__)

TIMES_THE_OLD_WAY = 3.0
SHARE_OF_THE_BARE_LOOP = 0.9
PROMPTS = tuple(
    f"pixel art, 24x24, portrait of bespoke punk {who}, {hair} hair, {extra}, brown eyes, neutral expression, "
    f"solid {background} background"
    for who, hair, extra, background in (
        ("lady", "pink (#ff66cc)", "crown", "green (#00ff00)"),
        ("lad", "purple (#9966ff)", "cap", "blue (#0066ff)"),
        ("lady", "brown (#663300)", "hoop earrings", "orange (#ff9900)"),
        ("lad", "blonde (#ffcc66)", "sunglasses", "blue (#0066ff)"),
        ("lady", "red (#ff3333)", "bow", "pink (#ff99cc)"),
        ("lad", "green (#33cc33)", "headband", "yellow (#ffcc00)"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Pictures per second."""

    ours: float
    old_way: float
    bare_loop: float

    @property
    def missed(self) -> list[str]:
        """A sentence for each number that is not reached."""
        faults = []
        if self.ours < TIMES_THE_OLD_WAY * self.old_way:
            faults.append(f"{self.ours / self.old_way:.2f} times the old way, wanted {TIMES_THE_OLD_WAY:g}")
        if self.ours < SHARE_OF_THE_BARE_LOOP * self.bare_loop:
            faults.append(f"{self.ours / self.bare_loop:.2f} of the bare loop, wanted {SHARE_OF_THE_BARE_LOOP:g}")
        return faults


class Comparison:
    """A baseline and checkpoints of the same LoRA, drawn in three ways with the same settings."""

    def __init__(self, base: BaseModel, device: str, folder: Path, checkpoints: int) -> None:
        self.base = base
        self.renderer = Renderer(base, device)
        self.classes = plan_classes(len(PROMPTS), base.profile.batch_classes[self.renderer.device])
        files = [random_lora(base, folder / f"epoch-{epoch:06d}.safetensors", epoch) for epoch in range(checkpoints)]
        self.files: dict[str, Path] = {lora.read_header(path).sha256: path for path in files}
        self.bare = self._pipeline()
        self._load_lora(self.bare, files[0])
        self.bare.fuse_lora()
        self.bare.unload_lora_weights()

    def run(self) -> Speeds:
        """The three ways in turns: a warm-up, a baseline before and after, and every checkpoint between."""
        ways: tuple[Callable[[str | None], None], ...] = (self._ours, self._old_way, self._bare_loop)
        for way in ways:
            way(None)
        checkpoints = [None, *self.files, None]
        spent: dict[bool, list[list[float]]] = {True: [], False: []}
        for done, sha256 in enumerate(checkpoints, start=1):
            seconds = [_seconds(way, sha256) for way in ways]
            spent[sha256 is None].append(seconds)
            log.info("%d of %d: %s s", done, len(checkpoints), ", ".join(f"{each:.2f}" for each in seconds))
        pictures = len(PROMPTS) * (len(self.files) + 1)
        ours, old_way, bare_loop = (
            pictures / (min(baselines) + len(self.files) * min(bent))
            for baselines, bent in zip(zip(*spent[True], strict=True), zip(*spent[False], strict=True), strict=True)
        )
        return Speeds(ours=ours, old_way=old_way, bare_loop=bare_loop)

    def _ours(self, sha256: str | None) -> None:
        profile = self.base.profile
        sizes = [size for size in self.classes for _ in range(size)]
        requests = [
            RenderRequest(
                base=self.base.name,
                base_hash=self.base.fingerprint,
                lora_sha256=sha256,
                prompt=text,
                seed=seed,
                steps=profile.steps,
                guidance=profile.guidance,
                scheduler=profile.scheduler,
                width=profile.size,
                height=profile.size,
                batch_class=size,
            )
            for seed, (text, size) in enumerate(zip(PROMPTS, sizes, strict=False))
        ]
        self.renderer.render(requests, self.files)

    def _old_way(self, sha256: str | None) -> None:
        pipeline = self._pipeline()
        if sha256 is not None:
            self._load_lora(pipeline, self.files[sha256])
        for seed, text in enumerate(PROMPTS):
            self._draw(pipeline, [text], [seed])

    def _bare_loop(self, _sha256: str | None) -> None:
        start = 0
        for size in self.classes:
            texts = list(PROMPTS[start : start + size])
            padded = texts + texts[-1:] * (size - len(texts))
            self._draw(self.bare, padded, list(range(start, start + size)))
            start += size

    def _pipeline(self) -> Any:
        import torch
        from diffusers import StableDiffusionPipeline

        dtype = getattr(torch, self.base.profile.dtypes[self.renderer.device])
        pipeline = StableDiffusionPipeline.from_pretrained(
            self.base.files, dtype=dtype, safety_checker=None, use_safetensors=True, local_files_only=True
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.renderer.device)

    def _load_lora(self, pipeline: Any, path: Path) -> None:
        pipeline.load_lora_weights(path.parent, weight_name=path.name)

    def _draw(self, pipeline: Any, texts: Sequence[str], seeds: Sequence[int]) -> None:
        import torch

        pipeline(
            list(texts),
            negative_prompt=[""] * len(texts),
            num_inference_steps=self.base.profile.steps,
            guidance_scale=self.base.profile.guidance,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        )


def random_lora(base: BaseModel, path: Path, seed: int, rank: int = 8) -> Path:
    """A LoRA of small noise on every module that a training with the base's profile bends."""
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(base.files / "unet", use_safetensors=True)
    text_encoder = CLIPTextModel.from_pretrained(base.files / "text_encoder", use_safetensors=True)
    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for target in kohya_keys.targets(unet, text_encoder, base.profile, conv=False):
        shape = base.shapes[target.name]
        tensors[target.name + lora.DOWN] = torch.randn(rank, *shape[1:], generator=random) * 0.02
        tensors[target.name + lora.UP] = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=random) * 0.02
        tensors[target.name + lora.ALPHA] = torch.tensor(rank / 2)
    lora.save_lora(path, tensors, lora.base_metadata(base))
    return path


def main(arguments: Sequence[str]) -> int:
    """Print the speeds; 1 when a number is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=10)
    parser.add_argument("--base", default="miniature")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _quiet()
    log.setLevel(logging.INFO)
    with TemporaryDirectory() as folder:
        comparison = Comparison(resolve_base(asked.base), asked.device, Path(folder), asked.checkpoints)
        speeds = comparison.run()
    log.info("device %s, batches of %s", comparison.renderer.device, comparison.classes)
    log.info(
        "pictures per second: ours %.2f, old way %.2f, bare loop %.2f", speeds.ours, speeds.old_way, speeds.bare_loop
    )
    log.info(
        "%.2f times the old way, %.2f of the bare loop", speeds.ours / speeds.old_way, speeds.ours / speeds.bare_loop
    )
    for fault in speeds.missed:
        log.error("missed: %s", fault)
    return 1 if speeds.missed else 0


def _quiet() -> None:
    """No progress bars for each of the old way's many loadings."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def _seconds(way: Callable[[str | None], None], sha256: str | None) -> float:
    began = time.perf_counter()
    way(sha256)
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
