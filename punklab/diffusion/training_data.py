"""A training folder as kohya reads it, and what each step sees of it. No torch.

`N_name` folders hold pictures and captions of one name; each picture counts N times an epoch. Order, shuffled captions,
dropout and flips follow from (seed, epoch, batch) alone, so that a resumed training sees what an unbroken one would.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from punklab.diffusion.training_plan import TrainingError, TrainingPlan
from punklab.pixels.grid import sample

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_CONCEPT = re.compile(r"(\d+)_(.*)", re.DOTALL)
_MOST_PIXELS = 64_000_000


class Purpose(IntEnum):
    """Separate streams of random numbers, so that one setting does not shift another's."""

    ORDER = 1
    CAPTION = 2
    FLIP = 3
    NOISE = 4
    LATENT = 5
    INITIAL = 6


@dataclass(frozen=True, kw_only=True)
class Concept:
    name: str  # the folder's, with its number
    repeats: int
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Batch:
    """What one forward pass sees; `pictures` are positions in TrainingData.paths."""

    pictures: tuple[int, ...]
    captions: tuple[str, ...]
    flips: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    concepts: tuple[Concept, ...]
    paths: tuple[Path, ...]
    captions: tuple[str, ...]
    cells: NDArray[np.uint8]  # (n, 24, 24, 3)
    repeated: tuple[int, ...]  # positions, each as often as it counts in an epoch

    @cached_property
    def digest(self) -> str:
        """SHA-256 over pictures, captions and repeats: whether two trainings saw the same."""
        whole = hashlib.sha256(self.cells.tobytes())
        whole.update(repr((self.captions, self.repeated)).encode())
        return whole.hexdigest()

    @property
    def caption_hashes(self) -> dict[str, str]:
        """SHA-256 of each caption as it was used, by folder and file."""
        pairs = zip(self.paths, self.captions, strict=True)
        return {f"{path.parent.name}/{path.name}": hashlib.sha256(text.encode()).hexdigest() for path, text in pairs}

    @property
    def tag_frequency(self) -> dict[str, dict[str, int]]:
        """How often each part of a caption between commas occurs, by folder, as kohya counts."""
        counts: dict[str, Counter[str]] = {concept.name: Counter() for concept in self.concepts}
        for path, caption in zip(self.paths, self.captions, strict=True):
            tags = (tag.strip().lower() for tag in caption.split(","))
            counts[path.parent.name].update(tag for tag in tags if tag)
        return {name: dict(counter) for name, counter in counts.items()}

    def batches_per_epoch(self, size: int) -> int:
        return -(-len(self.repeated) // size)

    def batches(self, plan: TrainingPlan, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch (from 1), from batch `start` (from 0) on; the last one may be smaller."""
        order = random_for(plan.seed, Purpose.ORDER, epoch).permutation(self.repeated)
        size = plan.train_batch_size
        for number in range(start, self.batches_per_epoch(size)):
            pictures = tuple(int(position) for position in order[number * size : (number + 1) * size])
            yield Batch(pictures, self._captions(plan, epoch, number, pictures), _flips(plan, epoch, number, pictures))

    def _captions(self, plan: TrainingPlan, epoch: int, number: int, pictures: Sequence[int]) -> tuple[str, ...]:
        texts = [self.captions[position] for position in pictures]
        if not plan.shuffle_caption and not plan.caption_dropout_rate:
            return tuple(texts)
        random = random_for(plan.seed, Purpose.CAPTION, epoch, number)
        return tuple(changed_caption(text, plan, random) for text in texts)


def changed_caption(caption: str, plan: TrainingPlan, random: np.random.Generator) -> str:
    """The caption of one step: empty where it drops out, else its parts behind the kept ones shuffled."""
    dropped = bool(random.random() < plan.caption_dropout_rate)
    if dropped:
        return ""
    if not plan.shuffle_caption:
        return caption
    parts = [part.strip() for part in caption.strip().split(plan.caption_separator)]
    kept, free = parts[: plan.keep_tokens], parts[plan.keep_tokens :]
    return ", ".join([*kept, *(free[position] for position in random.permutation(len(free)))])


def random_for(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Random numbers that depend on the seed, what they are for and where in the training they are used."""
    return np.random.default_rng([seed, int(purpose), *place])


def torch_seed(seed: int, purpose: Purpose, *place: int) -> int:
    """The same for a torch generator: 63 bits."""
    state = np.random.SeedSequence([seed, int(purpose), *place]).generate_state(2, np.uint32)
    return int(state[0]) << 31 | int(state[1]) >> 1


def read_training_data(plan: TrainingPlan) -> TrainingData:
    """All pictures, reduced to 24x24, and captions. Raises TrainingError naming the file at fault and the mend."""
    concepts = _concepts(plan.train_data_dir)
    paths = [path for concept in concepts for path in concept.pictures]
    captions = [read_caption(path, plan.caption_extension) for path in paths]
    cells = np.stack([read_cells(path) for path in paths])
    repeats = [concept.repeats for concept in concepts for _ in concept.pictures]
    repeated = [position for position, count in enumerate(repeats) for _ in range(count)]
    return TrainingData(
        concepts=tuple(concepts),
        paths=tuple(paths),
        captions=tuple(captions),
        cells=cells,
        repeated=tuple(repeated),
    )


def read_caption(picture: Path, extension: str) -> str:
    """The first line of the picture's caption. Raises TrainingError when there is none: kohya would take the
    folder's name for it without stopping."""
    path = picture.with_name(picture.stem + extension)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        beside = picture.with_suffix(".txt")
        mend = 'set `caption_extension = ".txt"`' if beside.is_file() else f"add {path.name}"
        raise TrainingError(f"{picture}: its caption {path.name} is missing; {mend}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read as UTF-8 text ({error}); save it anew.") from error
    caption = lines[0].strip() if lines else ""
    if not caption:
        raise TrainingError(f"{path}: the caption's first line is empty; write the caption there.")
    return caption


def read_cells(path: Path) -> NDArray[np.uint8]:
    """A picture reduced to its 24x24 cells, (24, 24, 3). Raises TrainingError for what is no such picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if getattr(image, "is_animated", False):
                    raise TrainingError(f"{path}: is animated; give one picture.")
                if image.width * image.height > _MOST_PIXELS:
                    raise TrainingError(f"{path}: has {image.width}x{image.height} pixels; give a smaller one.")
                return sample(image)
    except UnidentifiedImageError as error:
        raise TrainingError(f"{path}: is no picture that can be read; replace it or take it out.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TrainingError(f"{path}: is too large a picture ({error}).") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); replace it or take it out.") from error


def _flips(plan: TrainingPlan, epoch: int, number: int, pictures: Sequence[int]) -> tuple[bool, ...]:
    if not plan.flip_aug:
        return (False,) * len(pictures)
    draws = random_for(plan.seed, Purpose.FLIP, epoch, number).random(len(pictures))
    return tuple(bool(draw < 0.5) for draw in draws)


def _concepts(folder: Path) -> list[Concept]:
    if not folder.is_dir():
        raise TrainingError(f"{folder}: is no folder; name the one that holds the `N_name` folders.")
    concepts = []
    for sub in sorted(folder.iterdir()):
        match = _CONCEPT.fullmatch(sub.name)
        if not sub.is_dir() or not match or int(match[1]) < 1:
            continue
        pictures = tuple(sorted(path for path in sub.iterdir() if path.suffix.lower() in PICTURES))
        if pictures:
            concepts.append(Concept(name=sub.name, repeats=int(match[1]), pictures=pictures))
    if not concepts:
        raise TrainingError(f"{folder}: holds no folder `N_name` with pictures (N: repeats), such as `10_punks`.")
    return concepts
