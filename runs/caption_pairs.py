"""One training picture with its caption, read from bytes without trusting them."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punklab.pixels.grid import SIDE, sample

MOST_PIXELS = 4096 * 4096
MOST_IMAGE_BYTES = 32 * 1024 * 1024
MOST_CAPTION_BYTES = 64 * 1024
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PairError(Exception):
    """A picture or caption that cannot be used; the message names the reason and the mend, not the file."""


@dataclass(frozen=True)
class Pair:
    """A caption and its picture. `cells` is (24, 24, 3) uint8; None where only the text is at hand."""

    stem: str
    text: str
    cells: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class Problem:
    """What keeps one file from being half of a pair: `unreadable` or `missing_partner`, and why."""

    file: str
    code: str
    detail: str


@dataclass(frozen=True)
class Picture:
    """A training picture: its cells, its size in pixels and the SHA-256 of the file's bytes."""

    cells: NDArray[np.uint8]
    width: int
    height: int
    sha256: str


def read_picture(data: bytes) -> Picture:
    """The picture in a PNG's bytes. Raises PairError when it is no plain square PNG of 24 pixels or more.

    The header is judged before anything is decoded, so that a small file cannot ask for gigabytes.
    """
    width, height = _size(data)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise PairError("is animated; save one frame as a plain PNG")
            if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
                raise PairError(f"has the pixel format {image.mode}; save it as RGB, RGBA or palette with 8 bits")
            image.load()
            cells = sample(image)
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error) as error:
        raise PairError(f"is a damaged PNG ({error}); save or copy it again") from error
    return Picture(cells, width, height, hashlib.sha256(data).hexdigest())


def read_caption(data: bytes) -> str:
    """The caption in a text file's bytes, unchanged. Raises PairError when it is empty or no UTF-8."""
    if not data.strip():
        raise PairError("is empty; write the caption or remove the pair")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at position {error.start}"
        raise PairError(f"is not UTF-8 ({found}); save it as UTF-8") from error
    if "\0" in text:
        raise PairError("has a zero byte; save it as plain UTF-8 text")
    return text


def _size(data: bytes) -> tuple[int, int]:
    if not data:
        raise PairError("is empty (0 bytes); copy it again")
    if not data.startswith(_SIGNATURE) or len(data) < 33:
        raise PairError("is no PNG, whatever its name says; save it as PNG")
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MOST_PIXELS:
        raise PairError(f"is {width}x{height} pixels; at most {MOST_PIXELS} pixels (4096x4096) are read")
    if width != height:
        raise PairError(f"is {width}x{height} pixels; a punk is square: {SIDE}x{SIDE} or an enlargement of it")
    if width < SIDE:
        raise PairError(f"is {width}x{height} pixels, smaller than {SIDE}x{SIDE}")
    return width, height
