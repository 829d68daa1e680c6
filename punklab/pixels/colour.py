"""Colours as people see them: hex codes, CIELAB and the CIEDE2000 difference.

All functions are vectorised: the last axis holds the three channels, the others are the caller's.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# For `to_rough_lab`: CIELAB's f in steps, and what makes L, a and b of it.
_F_STEPS = 32_000
_X = np.arange(int(1.01 * _F_STEPS)) / _F_STEPS
_F = np.where(_X > 216 / 24389, np.cbrt(_X), (24389 / 27 * _X + 16) / 116).astype(np.float32)
_LINEAR_32, _TO_XYZ_32 = _LINEAR.astype(np.float32), _TO_XYZ_OVER_WHITE.astype(np.float32)
_TO_LAB_32 = np.array([[0, 500, 0], [116, -500, 200], [0, 0, -200]], dtype=np.float32)
_COS26, _SIN26 = np.cos(np.radians(26)), np.sin(np.radians(26))


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
    colours = np.asarray(rgb, dtype=np.uint8)
    # One product of two matrices is several times faster than one a row.
    xyz: NDArray[np.float64] = _LINEAR[colours.reshape(-1, 3)] @ _TO_XYZ_OVER_WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab: NDArray[np.float64] = np.empty_like(xyz)
    lab[:, 0] = 116 * f[:, 1] - 16
    lab[:, 1] = 500 * (f[:, 0] - f[:, 1])
    lab[:, 2] = 200 * (f[:, 1] - f[:, 2])
    return lab.reshape(colours.shape)


def to_rough_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB of sRGB pixels (..., 3) to a tenth of a unit, in a seventh of the time, L less 16: for differences."""
    xyz = _LINEAR_32[rgb.reshape(-1, 3)] @ _TO_XYZ_32
    f = _F[(xyz * _F_STEPS).astype(np.intp)]
    lab: NDArray[np.float32] = f @ _TO_LAB_32
    return lab.reshape(rgb.shape)


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


def to_oklab(rgb: ArrayLike) -> NDArray[np.float64]:
    """OKLab of sRGB channels 0 to 255; shape (..., 3): L 0 to 1, a, b.

    Source: Björn Ottosson, "A perceptual color space for image processing" (2020), matrices as revised in 2021.
    """
    colours = np.asarray(rgb, dtype=np.uint8)
    oklab: NDArray[np.float64] = np.cbrt(_LINEAR[colours.reshape(-1, 3)] @ _TO_LMS.T) @ _LMS_TO_OKLAB.T
    return oklab.reshape(colours.shape)


def to_din99o(lab: ArrayLike) -> NDArray[np.float64]:
    """DIN99o coordinates of CIELAB colours, shape (..., 3): their Euclidean distance is about 1.2 CIEDE2000.

    A plain distance where thousands of pairs are compared. Source: DIN 6176:2018, with kE = kCH = 1; hue turned back by
    its 26 degrees, so that the axes are those of CIELAB.
    """
    lab = np.asarray(lab, dtype=np.float64)
    red = lab[..., 1] * _COS26 + lab[..., 2] * _SIN26
    yellow = 0.83 * (lab[..., 2] * _COS26 - lab[..., 1] * _SIN26)
    chroma = np.hypot(red, yellow)
    shrink = np.log1p(0.075 * chroma) / (0.0435 * np.maximum(chroma, 1e-12))
    din99o: NDArray[np.float64] = np.empty_like(lab)
    din99o[..., 0] = 303.67 * np.log1p(0.0039 * lab[..., 0])
    din99o[..., 1] = shrink * (red * _COS26 - yellow * _SIN26)
    din99o[..., 2] = shrink * (red * _SIN26 + yellow * _COS26)
    return din99o


def _seventh(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    power = chroma * chroma * chroma
    power = power * power * chroma
    root: NDArray[np.float64] = np.sqrt(power / (power + 25.0**7))
    return root


def _mean_hue(h1: NDArray[np.float64], h2: NDArray[np.float64]) -> NDArray[np.float64]:
    total = h1 + h2
    across = np.where(total < 360, (total + 360) / 2, (total - 360) / 2)
    return np.where(np.abs(h1 - h2) <= 180, total / 2, across)
