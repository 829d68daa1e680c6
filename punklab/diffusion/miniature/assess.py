"""Measure what a miniature draws: colours of parts, every accessory, hair style and expression, on captions it never saw.

`python -m punklab.diffusion.miniature.assess` prints the figures of `docs/miniature.md`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punklab.diffusion.miniature import artist, grammar, shapes
from punklab.diffusion.miniature.artist import Punk
from punklab.diffusion.miniature.traits import Item, Traits
from punklab.diffusion.prompt import encode
from punklab.diffusion.request import WINDOW

BASE = Path(__file__).parent / "base"
HELD_OUT_SEED = 20_261_122
COLOUR_PARTS = ("hair", "eyes", "lips", "skin", "background")
Cells = NDArray[np.uint8]


def load(folder: Path, device: str = "cpu") -> Any:
    """The `StableDiffusionPipeline` of a folder, in single precision, without progress bars."""
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, safety_checker=None, local_files_only=True, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def render(pipeline: Any, captions: Sequence[str], windows: int, steps: int, guidance: float, batch: int = 32) -> Cells:
    """Cells (n, 24, 24, 3), the mean of each 4x4 block, seeded by place; captions in 1, 2 or 3 windows."""
    import torch

    pictures = []
    for start in range(0, len(captions), batch):
        some = captions[start : start + batch]
        with torch.no_grad():
            told, empty = (
                encode(texts, pipeline.tokenizer, pipeline.text_encoder, WINDOW * windows)
                for texts in (some, [""] * len(some))
            )
        generators = [torch.Generator("cpu").manual_seed(start + number) for number in range(len(some))]
        pictures.append(
            pipeline(
                prompt_embeds=told,
                negative_prompt_embeds=empty,
                generator=generators,
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="np",
            ).images
        )
    blocks = np.concatenate(pictures).reshape(len(captions), 24, 4, 24, 4, 3)
    cells: Cells = (blocks.mean(axis=(2, 4)) * 255).round().astype(np.uint8)
    return cells


def held_out(count: int, seed: int = HELD_OUT_SEED) -> list[Punk]:
    """Punks of a seed that training does not use."""
    rng = random.Random(seed)
    return [artist.punk(rng) for _ in range(count)]


def lab_punks() -> list[Punk]:
    """The punks that the lab's six comparison prompts ask for: `grammar.caption` of each is its prompt."""
    brown, light, calm, smile = (0x66, 0x33, 0x00), (0xF0, 0xC0, 0x90), "neutral expression", "slight smile"
    shirt = Item("shirt", (75, 75, 80))
    pale, blue = (0xCC, 0x99, 0x99), (0x00, 0x66, 0xFF)
    asked = [
        Traits("lady", "long", (0xFF, 0x66, 0xCC), brown, (0xCC, 0x66, 0x66), light, (0, 0xFF, 0), calm, shirt,
               headwear=Item("crown", (235, 195, 50)), earrings="hoop earrings"),
        Traits("lad", "short", (0x99, 0x66, 0xFF), brown, pale, light, blue, calm, shirt,
               headwear=Item("cap", (130, 60, 190))),
        Traits("lady", "afro", brown, brown, (0xCC, 0x66, 0x66), (0xD0, 0xA0, 0x70), (0xFF, 0x99, 0), smile, shirt,
               earrings="hoop earrings"),
        Traits("lad", "short", (0xFF, 0xCC, 0x66), brown, pale, light, blue, calm, shirt,
               eyewear=Item("stunner shades", (18, 18, 22))),
        Traits("lady", "long", (0xFF, 0x33, 0x33), (0x33, 0x99, 0xFF), (0xFF, 0x66, 0x66), (0xFF, 0xCC, 0xAA),
               (0xFF, 0x99, 0xCC), smile, shirt, headwear=Item("bow", (230, 20, 30)), earrings="stud earrings"),
        Traits("lad", "short", (0x33, 0xCC, 0x33), brown, pale, light, (0xFF, 0xCC, 0), calm, shirt,
               headwear=Item("headband", (40, 165, 70))),
    ]  # fmt: skip
    return [artist.draw(traits) for traits in asked]


def colour_errors(punks: Sequence[Punk], pictures: Cells) -> dict[str, float]:
    """Median over punks of |median colour of the part's place - asked colour|, mean of three channels, of 255."""
    errors: dict[str, list[float]] = defaultdict(list)
    for punk, picture in zip(punks, pictures, strict=True):
        for part in COLOUR_PARTS:
            mask = punk.parts[part]
            if mask.sum() >= 2 and part in punk.colours:
                seen = np.median(picture[mask].astype(float), axis=0)
                errors[part].append(float(np.abs(seen - punk.colours[part]).mean()))
    return {part: round(float(np.median(values)), 1) for part, values in errors.items()}


def pixel_error(punks: Sequence[Punk], pictures: Cells) -> float:
    """Mean absolute difference to the artist's own drawing, of 255."""
    truth = np.stack([punk.cells for punk in punks]).astype(float)
    return round(float(np.abs(truth - pictures).mean()), 1)


def mottle(punks: Sequence[Punk], pictures: Cells) -> float:
    """Median over solid backgrounds of the standard deviation of their cells, mean of three channels, of 255."""
    spreads = [
        picture[punk.parts["background"]].astype(float).std(axis=0).mean()
        for punk, picture in zip(punks, pictures, strict=True)
        if punk.traits.backdrop == "solid"
    ]
    return round(float(np.median(spreads)), 1)


def obeyed(punks: Sequence[Punk], pictures: Cells) -> dict[str, tuple[float, int]]:
    """For each thing asked: the share of pictures that are nearer to the drawing with it than to any without, and how many."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for punk, picture in zip(punks, pictures, strict=True):
        for name, others in _alternatives(punk.traits):
            counts[name].append(all(_nearer(picture, punk.cells, artist.draw(other).cells) for other in others))
    return {name: (round(sum(hits) / len(hits), 2), len(hits)) for name, hits in sorted(counts.items())}


def _nearer(picture: Cells, asked: Cells, other: Cells) -> bool:
    where = (asked != other).any(axis=-1)
    if not where.any():
        return True
    seen = picture[where].astype(float)
    return bool(np.abs(seen - asked[where]).mean() < np.abs(seen - other[where]).mean())


_ACCESSORIES = {"headwear": None, "eyewear": None, "facial_hair": "", "earrings": "", "necklace": "", "smoking": ""}


def _alternatives(traits: Traits) -> Iterator[tuple[str, list[Traits]]]:
    smile, calm = "slight smile", "neutral expression"
    yield "expression", [replace(traits, expression=calm if traits.expression == smile else smile)]
    yield "lady or lad", [replace(traits, sex="lad" if traits.sex == "lady" else "lady")]
    if not traits.headwear:
        yield (
            f"hair: {traits.hair_style}",
            [replace(traits, hair_style=s) for s in shapes.HAIR if s != traits.hair_style],
        )
    for part, nothing in _ACCESSORIES.items():
        if thing := getattr(traits, part):
            without: dict[str, Any] = {part: nothing}
            yield f"{part}: {getattr(thing, 'kind', thing)}", [replace(traits, **without)]
    if traits.wings:
        yield "wings", [replace(traits, wings=None)]
    if traits.backdrop != "solid":
        yield f"backdrop: {traits.backdrop}", [replace(traits, backdrop="solid")]


def report(folder: Path, count: int, device: str = "cpu", sheet: Path | None = None) -> dict[str, Any]:
    """All measures of a base model on `count` held-out captions, at its profile's steps and guidance."""
    profile = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    pipeline, punks = load(folder, device), held_out(count)

    def draw(tell: Callable[[Punk], str], windows: int) -> Cells:
        return render(pipeline, [tell(punk) for punk in punks], windows, profile["steps"], profile["guidance"])

    plain, three = (draw(lambda punk: grammar.caption(punk, grammar.Wording()), windows) for windows in (2, 3))
    words = draw(lambda punk: grammar.caption(punk, grammar.WORDS), 1)
    full = draw(lambda punk: grammar.caption(punk, grammar.FULL, random.Random(1)), 3)
    last = draw(_background_last, 3)
    lab = lab_punks()
    six = render(pipeline, [grammar.caption(punk) for punk in lab], 1, profile["steps"], profile["guidance"])
    if sheet:
        _write_sheet(sheet, [[p.cells for p in punks[:24]], *(list(drawn[:24]) for drawn in (plain, full, words))])
    return {
        "captions": count,
        "with codes": {
            **colour_errors(punks, plain),
            "pixels": pixel_error(punks, plain),
            "mottle": mottle(punks, plain),
        },
        "three windows, full tail": {**colour_errors(punks, full), "pixels": pixel_error(punks, full)},
        "words only": {**colour_errors(punks, words)},
        "background told in the last window": {"background": colour_errors(punks, last)["background"]},
        "two against three windows, pixels": round(float(np.abs(plain.astype(float) - three).mean()), 1),
        "lab's six prompts": {
            **colour_errors(lab, six),
            "all obeyed": all(s == 1 for s, _ in obeyed(lab, six).values()),
        },
        "obeyed": obeyed(punks, plain),
    }


def _background_last(punk: Punk) -> str:
    """The caption with its tail before its background, so that the background's code stands in the last window used."""
    clauses = grammar.caption(punk, grammar.FULL).split(", ")
    background = next(clause for clause in clauses if "background" in clause)
    return ", ".join([*(clause for clause in clauses if clause != background), background])


def _write_sheet(path: Path, rows: Sequence[Sequence[Cells]], across: int = 12, factor: int = 5) -> None:
    from PIL import Image

    size = shapes.SIZE * factor + 4
    blocks = -(-len(rows[0]) // across)
    sheet = Image.new("RGB", (across * size, blocks * len(rows) * size + blocks * 6), "white")
    for row, pictures in enumerate(rows):
        for place, cells in enumerate(pictures):
            block, column = divmod(place, across)
            picture = Image.fromarray(np.asarray(cells)).resize((size - 4, size - 4), Image.Resampling.NEAREST)
            sheet.paste(picture, (column * size, (block * len(rows) + row) * size + block * 6))
    sheet.save(path)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet: asked, with codes, full caption, words only")
    chosen = parser.parse_args()
    result = report(chosen.base, chosen.count, chosen.device, chosen.sheet)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
