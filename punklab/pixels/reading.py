"""A picture file read without trusting it: its size judged before anything is decoded, its depth brought to 8 bits."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 50_000_000  # some 150 MB decoded
MOST_BYTES = 100_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class PictureError(ValueError):
    """A file that cannot be measured; the message says why and what to do, without its name."""


def read_picture(source: Path | bytes) -> tuple[Image.Image, list[str]]:
    """A picture in 8 bits a channel, and what a person should know of how it was read.

    Of an animation the first frame is taken. Raises PictureError for a file that is no picture, damaged, or so large that
    decoding it would take more than some 150 MB.
    """
    try:
        data = source if isinstance(source, bytes) else _bytes_of(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _refuse_size(image)
                notes = []
                if (n_frames := getattr(image, "n_frames", 1)) > 1:
                    notes.append(f"the first of {n_frames} frames or pages is measured")
                image.load()
                return _in_8_bits(image), notes
    except UnidentifiedImageError as error:
        raise PictureError(f"is no picture that can be read; save it as {FORMATS[0]} or {FORMATS[1]}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"has far too many pixels; at most {MOST_PIXELS:,} are read: make it smaller") from error
    except PictureError:
        raise
    # What Pillow's readers of broken GIF and TIFF files raise is no OSError.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error) as error:
        raise PictureError(f"is damaged ({error}); save or copy it again") from error


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError("is a folder; name picture files")
        if not path.is_file() and path.exists():
            raise PictureError("is no file; name picture files")
        if path.stat().st_size > MOST_BYTES:
            raise PictureError(f"has {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read: make it smaller")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError("is not there; check the name") from error
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or error}") from error


def _refuse_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise PictureError(f"is {width}x{height} pixels; at most {MOST_PIXELS:,} are read: make it smaller")
    if min(width, height) < 24:
        raise PictureError(f"is {width}x{height} pixels; a punk has 24x24 cells, so at least 24x24 pixels are needed")


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Upright as a camera's mark says. Pillow cuts deeper greys off at 255 instead of dividing them."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        brightest = values.max(initial=0)
        most = 65535.0 if image.mode.startswith("I;16") or brightest > 255 else 255.0 if brightest > 1 else 1.0
        return Image.fromarray((np.clip(values, 0, most) * (255 / most)).round().astype(np.uint8)).convert("RGB")
    return ImageOps.exif_transpose(image)
