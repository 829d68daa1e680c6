"""How often the measures agree with what is known: `make accuracy` writes the tables of docs/judging.md.

The lab's pictures lie in ../shared (`--shared`); without them only what is known of made pictures is told. Whatever is
fitted to captions is told of people whose pictures took no part in the fit.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.diffusion.miniature import palette
from punklab.diffusion.miniature.artist import PARTS as DRAWN_PARTS
from punklab.diffusion.miniature.artist import Punk, draw
from punklab.diffusion.miniature.teach import prior_of_the_artist
from punklab.diffusion.miniature.traits import random_traits
from punklab.pixels import asked
from punklab.pixels.collection import Collection, learn
from punklab.pixels.colour import ciede2000, parse_hex, to_lab
from punklab.pixels.copies import CopyIndex
from punklab.pixels.grid import sample
from punklab.pixels.measures import Measures, measure
from punklab.pixels.prior import HEADWEAR
from runs.caption_folder import read_folder
from tests.pixels.drawing import degraded, enlarged, photograph

FOLDS, DRAWN, WITHIN, CLEARLY = 10, 600, 5.0, 20.0
COLOURED = ("background", "hair", "skin", "eyes", "lips")
WORN = ("headwear", "eyewear", "facial_hair", "earrings")
Verdicts = Iterable[tuple[bool, bool | None]]  # what is known, and what the measure says


@dataclass(frozen=True)
class Punks:
    """The lab's pairs: names, captions and cells (n, 24, 24, 3)."""

    names: list[str]
    captions: list[str]
    cells: NDArray[np.uint8]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--captions", default="caption_fix_v1")
    options = parser.parse_args()
    made = [draw(random_traits(chance)).cells for chance in [random.Random(7)] for _ in range(200)]
    drawn_colours()
    drawn_words()
    if (options.shared / "punks").is_dir():
        punks = read_punks(options.shared / "punks", options.captions)
        against_captions(punks)
        rendered(options.shared / "generated")
        rasters("real", list(punks.cells))
        copies("real", punks.cells)
    rasters("drawn", made)
    copies("drawn", np.stack(made))
    return 0


def read_punks(folder: Path, captions: str) -> Punks:
    pairs = [one.pair for one in read_folder(folder / captions, folder / "images").pairs]
    cells = [pair.cells for pair in pairs if pair.cells is not None]
    return Punks([pair.stem for pair in pairs], [pair.text for pair in pairs], np.stack(cells))


def drawn_colours() -> None:
    """Each part's observed colour against the drawn one, after blur, noise and JPEG, at 512 and 576 pixels."""
    off: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number, punk in enumerate(_drawn(4, DRAWN)):
        seen = measure(degraded(punk.cells, (512, 576)[number % 2], number))
        for part in COLOURED:
            n_cells = int((punk.labels == DRAWN_PARTS.index(part)).sum())
            if part in punk.colours and n_cells:
                code = getattr(seen, part).observed["hex"]
                distance = float(ciede2000(to_lab(parse_hex(code)), to_lab(punk.colours[part]))) if code else np.inf
                off[part, "3 cells and more" if n_cells >= 3 else "1 or 2 cells"].append(distance)
    _title(
        f"Observed colour of {DRAWN} procedural punks: share within CIEDE2000 {WITHIN:g}", "part | of | share | 95 %"
    )
    for size in ("3 cells and more", "1 or 2 cells"):
        for part in COLOURED:
            if (part, size) in off:
                _share(f"{part}, {size}", [distance <= WITHIN for distance in off[part, size]])
        every = [distance <= WITHIN for (_, of), some in off.items() for distance in some if of == size]
        _share(f"all, {size}", every)


def drawn_words() -> None:
    """`matches` against what the artist calls the colour, and against the word for a clearly other one."""
    punks = list(_drawn(5, DRAWN))
    found: dict[str, list[tuple[bool, bool | None]]] = defaultdict(list)
    for number, (punk, other) in enumerate(zip(punks, punks[1:] + punks[:1], strict=True)):
        picture = degraded(punk.cells, (512, 576)[number % 2], number)
        for part in COLOURED:
            if part not in punk.colours or part not in other.colours:
                continue
            if (part == "eyes" and punk.traits.eyewear) or (part == "background" and punk.traits.backdrop != "solid"):
                continue  # hidden, or of several colours
            own, others = (_artists_word(each, part) for each in (punk, other))
            found[part].append((True, getattr(measure(picture, f"{own} {part}"), part).matches))
            apart = float(ciede2000(to_lab(punk.colours[part]), to_lab(other.colours[part])))
            if apart > CLEARLY and own.split()[-1] != others.split()[-1]:
                found[part].append((False, getattr(measure(picture, f"{others} {part}"), part).matches))
    _confusion(
        f"`matches` of procedural punks against the artist's word, and against that of a colour CIEDE2000 {CLEARLY:g} away",
        found,
    )


def against_captions(punks: Punks) -> None:
    """Presence and colour words against captions, each person judged by a collection that has not seen them."""
    start = Collection(prior_of_the_artist(), {}, {})
    person = np.array([re.sub(r"[\W_]*\d*$", "", name.split("_", 2)[-1]).lower() or name for name in punks.names])
    people = np.unique(person)
    np.random.default_rng(0).shuffle(people)
    worn: dict[str, list[tuple[bool, bool | None]]] = defaultdict(list)
    own: dict[str, list[tuple[bool, bool | None]]] = defaultdict(list)
    for fold in range(FOLDS):
        held_out = np.isin(person, people[fold::FOLDS])
        kept = np.flatnonzero(~held_out)
        collection = learn([(punks.names[i], punks.captions[i], punks.cells[i]) for i in kept], start)
        for place in np.flatnonzero(held_out):
            caption, other = punks.captions[place], punks.captions[_next(int(place), punks)]
            image = Image.fromarray(punks.cells[place])
            seen = measure(image, caption, collection)
            said = asked.kinds_named(caption)
            for kind in WORN:
                is_said = bool(said & set(HEADWEAR)) if kind == "headwear" else kind in said
                worn[kind].append((is_said, seen.reading.worn[kind] > 0.5))
            unlike, others = (
                measure(image, other, collection),
                measure(Image.fromarray(punks.cells[_next(int(place), punks)])),
            )
            for part in COLOURED:
                words, other_words = (_hues(text, part) for text in (caption, other))
                if words:
                    own[part].append((True, getattr(seen, part).matches))
                if words and other_words and not words & other_words and _clearly_other(seen, others, part):
                    own[part].append((False, getattr(unlike, part).matches))
    _confusion(f"Worn, against the captions of {len(person)} punks, {FOLDS}-fold by person", worn)
    _confusion(f"`matches`, against the captions' own words and those of a punk CIEDE2000 {CLEARLY:g} away", own)


def _next(place: int, punks: Punks) -> int:
    """Another punk, far enough in the order of names to be another person."""
    return (place + 37) % len(punks.names)


def _hues(caption: str, part: str) -> set[str]:
    wanted = asked.asked(caption).get(part)
    return {word.split()[-1] for word in wanted.words} if wanted else set()


def _clearly_other(one: Measures, other: Measures, part: str) -> bool:
    codes = [getattr(each, part).observed["hex"] for each in (one, other)]
    return all(codes) and float(ciede2000(*to_lab([parse_hex(code) for code in codes]))) > CLEARLY


def rendered(folder: Path) -> None:
    """The pictures that past LoRAs rendered, against what a person saw."""
    found: dict[str, list[tuple[bool, bool | None]]] = defaultdict(list)
    for _, what, known, said in judged_by_a_person(folder):
        found[what].append((known, said))
    _confusion("Rendered pictures, against a person", found)


def judged_by_a_person(folder: Path) -> Iterator[tuple[str, str, bool, bool | None]]:
    """For each picture of ../shared/generated and what its label knows: the file's name, what, the label, our answer."""
    for name, label in json.loads((folder / "labels.json").read_text()).items():
        seen = measure(Image.open(folder / name), label["prompt"])
        said = {
            "background_matches": seen.background.matches,
            "background_solid": seen.background.solid,
            "hair_two_toned": seen.hair.two_toned,
            "skin_matches": seen.skin.matches,
            "pixel_art": seen.pixel_art.is_pixel_art,
        }
        yield from ((name, what, label[what], answer) for what, answer in said.items() if label[what] is not None)


def rasters(name: str, punks: Sequence[NDArray[np.uint8]]) -> None:
    """`is_pixel_art` of punks as they are, enlarged and degraded; of photographs, smooth drawings, other rasters."""
    kinds: dict[str, tuple[bool, Callable[[NDArray[np.uint8], int], Image.Image]]] = {
        "24x24 pixels": (True, lambda cells, _: Image.fromarray(cells)),
        "enlarged to 512": (True, lambda cells, _: enlarged(cells, 512)),
        "blurred, noisy, JPEG": (True, lambda cells, seed: degraded(cells, (480, 512, 576, 768)[seed % 4], seed)),
        "smooth": (False, lambda cells, _: Image.fromarray(cells).resize((512, 512), Image.Resampling.BICUBIC)),
        "photographs": (False, lambda _, seed: photograph(512, seed)),
        **{
            f"{side}x{side} cells": (False, lambda _, seed, side=side: _other_raster(side, seed))  # type: ignore[misc]
            for side in (12, 32, 48, 64)
        },
    }
    found = {
        f"{name}: {kind}": [
            (is_art, measure(make(cells, seed)).pixel_art.is_pixel_art) for seed, cells in enumerate(punks)
        ]
        for kind, (is_art, make) in kinds.items()
    }
    _confusion("`is_pixel_art`", found)


def _other_raster(side: int, seed: int) -> Image.Image:
    """A drawing of few colours on another raster, enlarged and as JPEG would leave it."""
    drawing = photograph(side, seed).quantize(12).convert("RGB")
    cells = np.asarray(drawing.resize((side, side)))
    return degraded(cells, side * (512 // side if seed % 2 else 15), seed)


def copies(name: str, cells: NDArray[np.uint8]) -> None:
    """Training images against each other, and each as it comes back encoded anew, mirrored or moved by a pixel."""
    index = CopyIndex(cells)
    others = [CopyIndex(np.delete(cells, place, axis=0)).nearest(each) for place, each in enumerate(cells)]
    found: dict[str, list[tuple[bool, bool | None]]] = {
        "another training image": [(False, other is not None and other.distance < index.threshold) for other in others]
    }
    for kind, change in {
        "blurred, noisy, JPEG": lambda each, seed: sample(degraded(each, 512, seed)),
        "mirrored": lambda each, _: each[:, ::-1],
        "moved": lambda each, seed: np.roll(each, ((1, 0), (0, 1), (-1, 1), (0, -1))[seed % 4], (0, 1)),
    }.items():
        nearest = [index.nearest(change(each, seed)) for seed, each in enumerate(cells)]
        found[kind] = [(True, other is not None and other.distance < index.threshold) for other in nearest]
    _confusion(f"`is_copy`, {name} punks", found)


def _drawn(seed: int, n_punks: int) -> Iterator[Punk]:
    chance = random.Random(seed)
    return (draw(random_traits(chance)) for _ in range(n_punks))


def _artists_word(punk: Punk, part: str) -> str:
    kind = part if part in ("hair", "skin", "eyes", "lips") else "general"
    return palette.name_of(punk.colours[part], kind)


def _confusion(title: str, found: dict[str, list[tuple[bool, bool | None]]]) -> None:
    _title(
        title, "measure | yes, said yes | yes, said no | no, said yes | no, said no | null | accuracy | balanced (95 %)"
    )
    for what, verdicts in found.items():
        judged = np.array([(known, said) for known, said in verdicts if said is not None], dtype=bool).reshape(-1, 2)
        known, said = judged.T
        counts = [(known & said).sum(), (known & ~said).sum(), (~known & said).sum(), (~known & ~said).sum()]
        right = known == said
        balanced = "–"
        if known.any() and not known.all():
            chance = np.random.default_rng(0)
            again = [_resampled(right[known], chance) / 2 + _resampled(right[~known], chance) / 2 for _ in range(2000)]
            low, high = np.percentile(again, (2.5, 97.5))
            balanced = f"{(right[known].mean() + right[~known].mean()) / 2:.3f} ({low:.3f}–{high:.3f})"
        accuracy = f"{right.mean():.3f}" if len(right) else "–"
        _row(what, *counts, len(verdicts) - len(judged), accuracy, balanced)


def _resampled(right: NDArray[np.bool_], chance: np.random.Generator) -> float:
    return float(chance.choice(right, len(right)).mean())


def _share(what: str, right: Sequence[bool]) -> None:
    """A share with Wilson's 95 % interval."""
    n, share, z = len(right), float(np.mean(right)), 1.96
    middle, half = share + z * z / 2 / n, z * np.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    _row(what, n, f"{share:.3f}", f"{(middle - half) / (1 + z * z / n):.3f}–{(middle + half) / (1 + z * z / n):.3f}")


def _title(title: str, columns: str) -> None:
    sys.stdout.write(f"\n{title}\n\n| {columns} |\n|{' --- |' * len(columns.split(' | '))}\n")
    sys.stdout.flush()


def _row(*values: object) -> None:
    sys.stdout.write(f"| {' | '.join(map(str, values))} |\n")


if __name__ == "__main__":
    sys.exit(main())
