"""Colours as people see them: hex codes, CIELAB and the CIEDE2000 difference.

All functions are vectorised: the last axis holds the three channels, the others are the caller's.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from punklab.pixels.colour_words import PASSES_FOR, SAID, SEEN

Rgb = tuple[int, int, int]

HEX_CODE = re.compile(r"#([0-9a-fA-F]{6})(?![0-9a-zA-Z])")

# sRGB (IEC 61966-2-1) decoded once: 256 values are cheaper to look up than to raise to a power.
_CODE = np.arange(256) / 255
_LINEAR = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4)
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_XYZ_OVER_WHITE = (_TO_XYZ / _WHITE_D65[:, None]).T


def parse_hex(code: str) -> Rgb:
    """The three channels, 0 to 255, of `#rrggbb` (the mark may be absent, either case).

    Raises ValueError for anything else.
    """
    digits = code.removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ValueError(f"not a colour code: {code!r}; write it as #rrggbb")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def format_hex(rgb: ArrayLike) -> str:
    """`#rrggbb` in lower case of three channels from 0 to 255."""
    red, green, blue = (int(channel) for channel in np.asarray(rgb))
    return f"#{red:02x}{green:02x}{blue:02x}"


def to_lab(rgb: ArrayLike) -> NDArray[np.float64]:
    """CIELAB (D65, 2 degree observer) of sRGB channels 0 to 255; shape (..., 3): L 0 to 100, a, b."""
    xyz: NDArray[np.float64] = _LINEAR[np.asarray(rgb, dtype=np.uint8)] @ _TO_XYZ_OVER_WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab: NDArray[np.float64] = np.empty_like(xyz)
    lab[..., 0] = 116 * f[..., 1] - 16
    lab[..., 1] = 500 * (f[..., 0] - f[..., 1])
    lab[..., 2] = 200 * (f[..., 1] - f[..., 2])
    return lab


def ciede2000(lab1: ArrayLike, lab2: ArrayLike) -> NDArray[np.float64]:
    """CIEDE2000 difference of CIELAB colours, broadcast over all axes but the last; 0 is equal, about 1 just visible.

    Formula and its traps: Sharma, Wu, Dalal, "The CIEDE2000 Color-Difference Formula" (2005), with kL = kC = kH = 1.
    """
    first, second = np.asarray(lab1, dtype=np.float64), np.asarray(lab2, dtype=np.float64)
    chroma_mean = (np.hypot(first[..., 1], first[..., 2]) + np.hypot(second[..., 1], second[..., 2])) / 2
    stretch = 1.5 - 0.5 * _seventh(chroma_mean)
    a1, a2 = first[..., 1] * stretch, second[..., 1] * stretch
    c1, c2 = np.hypot(a1, first[..., 2]), np.hypot(a2, second[..., 2])
    h1 = np.degrees(np.arctan2(first[..., 2], a1)) % 360
    h2 = np.degrees(np.arctan2(second[..., 2], a2)) % 360
    grey = c1 * c2 == 0
    d_hue = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)
    # The published pairs put opposite hues (exactly 180 degrees apart) on the side of h2 - h1 itself.
    d_hue = np.where(~grey & (h2 - h1 == 180), 180.0, d_hue)
    hue = np.where(grey, h1 + h2, _mean_hue(h1, h2))
    light, chroma = (first[..., 0] + second[..., 0]) / 2, (c1 + c2) / 2
    d_light, d_chroma = second[..., 0] - first[..., 0], c2 - c1
    d_tint = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(d_hue / 2))
    radians = np.radians(hue)
    t = (
        1
        - 0.17 * np.cos(radians - np.pi / 6)
        + 0.24 * np.cos(2 * radians)
        + 0.32 * np.cos(3 * radians + np.pi / 30)
        - 0.20 * np.cos(4 * radians - np.radians(63))
    )
    rotation = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * 2 * _seventh(chroma)
    x = d_light / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    y = d_chroma / (1 + 0.045 * chroma)
    z = d_tint / (1 + 0.015 * chroma * t)
    difference: NDArray[np.float64] = np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0))
    return difference


def colour_word(rgb: ArrayLike) -> str:
    """The everyday word for one colour, such as "salmon" or "dark green": that of the nearest prototype."""
    red, green, blue = (int(channel) for channel in np.asarray(rgb))
    return _nearest_word(red, green, blue)


def word_prototypes(word: str) -> list[Rgb]:
    """What a colour word looks like, a few examples; empty when the word is unknown.

    A modifier that the table does not know with the word ("bright green") is left out.
    """
    known = known_word(word)
    return [parse_hex(code) for code in SEEN[known].split()] if known else []


def word_families(word: str) -> frozenset[str]:
    """The plain colours that a word passes for, "sea green" for green and teal; empty when the word is unknown."""
    known = known_word(word)
    if known is None:
        return frozenset()
    return frozenset({known.split()[-1], *PASSES_FOR.get(known, ())})


def passes_for(rgb: ArrayLike, word: str) -> bool:
    """Whether people would let this colour pass for what the word asks; modifiers are not judged.

    False for an unknown word.
    """
    plain = known_word(word)
    if plain is None:
        return False
    seen = colour_word(rgb)
    asked = {plain.split()[-1], word.lower().split()[-1]}
    return bool(asked & word_families(seen)) or seen.split()[-1] in PASSES_FOR.get(plain, ())


def known_word(word: str) -> str | None:
    """The word of the table that stands for a caption's colour words ("ashy blonde": "beige"); None when unknown."""
    words = word.lower().replace("grey", "gray").split()
    for start in range(len(words)):
        rest = " ".join(words[start:])
        if rest in SEEN or rest in SAID:
            return SAID.get(rest, rest)
    return None


@lru_cache(maxsize=4096)
def _nearest_word(red: int, green: int, blue: int) -> str:
    words, lab = _prototypes()
    return words[int(ciede2000(to_lab((red, green, blue)), lab).argmin())]


@lru_cache(maxsize=1)
def _prototypes() -> tuple[list[str], NDArray[np.float64]]:
    words = [word for word, codes in SEEN.items() for _ in codes.split()]
    return words, to_lab([parse_hex(code) for codes in SEEN.values() for code in codes.split()])


def _seventh(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    power = chroma * chroma * chroma
    power = power * power * chroma
    root: NDArray[np.float64] = np.sqrt(power / (power + 25.0**7))
    return root


def _mean_hue(h1: NDArray[np.float64], h2: NDArray[np.float64]) -> NDArray[np.float64]:
    total = h1 + h2
    across = np.where(total < 360, (total + 360) / 2, (total - 360) / 2)
    return np.where(np.abs(h1 - h2) <= 180, total / 2, across)
