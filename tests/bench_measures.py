"""What measuring costs beside the lab's old way, over two processes, and over a growing collection.

The old way is our guess at the lab's scripts, which are not at hand: a loop over pixels for each number that they gave.
Machines differ and are busy, so it takes turns with ours. Ends with status 1 when a bound is missed.
"""

from __future__ import annotations

import colorsys
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.diffusion.miniature.artist import draw
from punklab.diffusion.miniature.traits import random_traits
from punklab.pixels.collection import Collection, shipped
from punklab.pixels.copies import CopyIndex
from punklab.pixels.grid import enlarge
from punklab.pixels.many import Job, measure_files
from punklab.pixels.measures import measure

LEAST_FASTER = 100  # at 512x512
LEAST_FASTER_24 = 150  # ours at 24x24 beside the old way at 512x512
N_FILES = 10_000
LEAST_SPEED_UP = 1.7  # of two processes
FEW, MANY = 200, 20_000
MOST_COPIES = 50
PROMPT = (
    "pixel art, 24x24, portrait of bespoke punk lady, pink hair (#ff66cc), crown, hoop earrings, eyes (#663300), "
    "lips (#cc6666), neutral expression, skin (#f0c090), solid green background (#00ff00)"
)


def main() -> int:
    chance = random.Random(1)
    punks = [draw(random_traits(chance)).cells for _ in range(FEW)]
    learned = shipped()
    collection = Collection(
        learned.prior, learned.bands, learned.measured, tuple(map(str, range(FEW))), np.stack(punks)
    )
    collection.copies.nearest(punks[0])
    small = [Image.fromarray(cells) for cells in punks[:50]]
    large = [image.resize((512, 512), Image.Resampling.NEAREST) for image in small]
    ours = _measure_with(collection)
    turns = [
        [_seconds(work, images) for work, images in ((_measure_the_old_way, large[:1]), (ours, large), (ours, small))]
        for _ in range(9)
    ]
    at_512, at_24 = median(old / new for old, new, _ in turns), median(old / new for old, _, new in turns)
    reached = [at_512 >= LEAST_FASTER, at_24 >= LEAST_FASTER_24]
    milliseconds = [1000 * median(column) for column in zip(*turns, strict=True)]
    _say(
        f"512x512, with copies and suggestions: {milliseconds[1]:.1f} ms, {at_512:.0f} times faster than the old way "
        f"(at least {LEAST_FASTER})",
        reached[0],
    )
    _say(f"24x24: {milliseconds[2]:.1f} ms, {at_24:.0f} times (at least {LEAST_FASTER_24})", reached[1])
    reached += [_scaling(punks, collection), _copies(punks)]
    return 0 if all(reached) else 1


def _scaling(punks: list[NDArray[np.uint8]], collection: Collection) -> bool:
    """Files of 24x24, the cheapest there are: what handing them out costs shows most."""
    with tempfile.TemporaryDirectory(prefix="measures-bench-") as folder:
        jobs = []
        for number, cells in enumerate(punks):
            path = Path(folder) / f"{number}.png"
            enlarge(cells, 1).save(path)
            jobs.append(Job(path, PROMPT))
        jobs *= N_FILES // len(jobs)
        took = [_seconds_of(lambda n=n: sum(1 for _ in measure_files(jobs, collection, n))) for n in (1, 2)]  # type: ignore[misc]
    reached = (os.cpu_count() or 1) < 2 or took[0] / took[1] >= LEAST_SPEED_UP
    _say(
        f"{N_FILES:,} pictures: {took[0]:.0f} s by one process, {took[1]:.0f} by two, {took[0] / took[1]:.2f} times "
        f"(at least {LEAST_SPEED_UP})",
        reached,
    )
    return reached


def _copies(punks: list[NDArray[np.uint8]]) -> bool:
    """The exact search among other punks, the index made beforehand."""
    chance = random.Random(2)
    others = np.stack([draw(random_traits(chance)).cells for _ in range(MANY)])
    times = []
    for pictures in (others[:FEW], others):
        index = CopyIndex(pictures)
        index.nearest(punks[0])
        times.append(min(_seconds(index.nearest, punks[:50]) for _ in range(3)) * 1000)
    reached = times[1] / times[0] <= MOST_COPIES
    _say(
        f"copies: {times[0]:.2f} ms among {FEW}, {times[1]:.2f} among {MANY:,}, {times[1] / times[0]:.0f} times "
        f"(at most {MOST_COPIES}, for {MANY // FEW} times as many)",
        reached,
    )
    return reached


def _measure_with(collection: Collection) -> Callable[[Image.Image], object]:
    return lambda image: measure(image, PROMPT, collection).to_json()


def _measure_the_old_way(image: Image.Image) -> dict[str, float]:
    """The numbers that the lab's views show, a loop each: exact colours in fixed stripes, jumps of brightness, hues."""
    width, height = image.size
    rows: list[list[tuple[int, int, int]]] = [
        [(int(r), int(g), int(b)) for r, g, b in row] for row in np.asarray(image.convert("RGB"))
    ]
    every = [pixel for row in rows for pixel in row]
    inner = [(x, y) for y in range(1, height - 1) for x in range(1, width - 1)]
    stripe = [pixel for y, row in enumerate(rows) for x, pixel in enumerate(row) if y < height // 8 or x < width // 8]
    crown = [pixel for row in rows[height // 8 : height // 2] for pixel in row[width // 4 : -width // 4]]
    middle = len(crown) // 2
    asked = {(0, 255, 0), (255, 102, 204), (102, 51, 0), (204, 102, 102), (240, 192, 144)}
    brightness = [[(299 * r + 587 * g + 114 * b) // 1000 for r, g, b in row] for row in rows]
    jumps = [
        max((brightness[y][x] - brightness[y][x - 1]) % 256, (brightness[y][x] - brightness[y - 1][x]) % 256)
        for x, y in inner
    ]
    lone = [rows[y][x] not in (rows[y - 1][x], rows[y + 1][x], rows[y][x - 1], rows[y][x + 1]) for x, y in inner]
    saturations = [colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)[1] for r, g, b in every]
    return {
        "color_accuracy": sum(pixel in asked for pixel in every) / len(every),
        "background_accuracy": sum(pixel == (0, 255, 0) for pixel in stripe) / len(stripe),
        "hair_accuracy": sum(pixel == (255, 102, 204) for pixel in crown) / len(crown),
        "hair_two_toned": Counter(crown[:middle]).most_common(1) != Counter(crown[middle:]).most_common(1),
        "style_quality": len(Counter(every)) / len(every) + sum(jump > 30 for jump in jumps) / len(jumps),
        "pixel_art_purity": 1 - sum(lone) / len(lone),
        "photorealism_score": sum(0.1 < saturation < 0.6 for saturation in saturations) / len(saturations),
    }


def _seconds(work: Callable[..., object], items: list[Any]) -> float:
    return _seconds_of(lambda: [work(item) for item in items]) / len(items)


def _seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _say(line: str, reached: bool) -> None:
    sys.stdout.write(f"{line} {'reached' if reached else 'MISSED'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
