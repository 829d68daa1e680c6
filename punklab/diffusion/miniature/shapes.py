"""Where every part of a punk lies on the 24x24 grid: runs of cells as `row:first-last`, accessories as little drawings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIZE = 24
Mask = NDArray[np.bool_]


@cache
def runs(text: str) -> Mask:
    """The mask (24, 24) of `row:first-last` runs; `7-11:8-16` repeats for rows 7 to 11, one number is one cell."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    for run in text.split():
        rows, columns = ([int(number) for number in part.split("-")] for part in run.split(":"))
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    mask.flags.writeable = False
    return mask


# A head is seen a little from its right: the ear on the left, the jaw closing on the right.
HEAD: Mapping[str, str] = {
    "lad": "6:9-15 7-11:8-16 12-13:7-16 14:8-16 15-16:9-15 17:9-15 18:9-14 19:9-13 20:9-10 21-23:9-12",
    "lady": "6:9-14 7-11:8-15 12-13:8-15 14:9-15 15-16:9-15 17:9-14 18:9-14 19:9-13 20:9-10 21-23:9-11",
}
EYES = "11:9-10 12:10 11:14-15 12:15"
PUPILS = "12:9 12:14"
NOSE = "15:12"
LIPS: Mapping[str, str] = {"neutral expression": "17:10-13", "slight smile": "16:10 17:11-13"}
FACIAL_HAIR: Mapping[str, str] = {
    "stubble": "16:9-15 17:9 17:14-15 18:9-14 19:9-13",
    "beard": "13:8 14:8-9 14:16 15:9-10 15:14-15 16:9-15 17:9-15 18:9-14 19:9-13 20:9-10",
    "moustache": "16:10-14",
    "goatee": "18:11-13 19:11-13",
}

_CAP = "4:9-14 5:8-16 6:7-17 7:7-9 7:15-17 8:7-8 8:17 9:7"
_FRAME = "4:9-14 5:8-16 6:7-17 7:6-10 7:14-17 8:6-8 8:16-17 9-13:6-7 9-13:16-17"
_LENGTH = "8-15:5-18 16-19:4-19 20:4-8 20:14-19 21:5-7 21:16-18 9:4 11:19 13:4 15:19 17:3 18:20 22:5 22:18"
_PLAITS = "10-19:5-6 10-19:17-18 20:5 20:18 21:5 21:18"
# style: (behind the head, in front of the forehead)
HAIR: Mapping[str, tuple[str, str]] = {
    "bald": ("", ""),
    "short": ("", "4:9-14 5:8-16 6:7-17 7:7-17 8:7-10 8:16-17 9:7-8 9:17 10:7 10:17"),
    "slicked back": ("", "3:11-15 4:9-17 5:8-18 6:8-18 7:7-8 7:16-18 8:7 8:17 9:7"),
    "buzzed": ("", "5:9-15 6:8-16 7:8-9 7:15-16 8:8 8:16"),
    "spiky": (
        "",
        "2:8 2:11 2:14 2:17 3:8-9 3:11-12 3:14-15 3:17-18 4:7-17 5:7-17 6:7-17 7:7-17 8:7-8 8:12 8:16-17 9:7 9:17",
    ),
    "mohawk": ("", "1:11-14 2:10-14 3:10-14 4:10-14 5:10-14 6:11-13 7:11-13"),
    "afro": (
        "1:8-15 2:6-17 3:5-18 4:4-19 5-10:3-20 11:4-19 12:4-7 12:16-19 13:5-6 13:17-18",
        "5-6:7-17 7:7-9 7:15-17 8:7 8:16-17",
    ),
    "long": (_LENGTH, _FRAME),
    "long with bangs": (_LENGTH, _FRAME + " 7:6-17 8:7-16 9:9-10 9:12 9:14-15"),
    "curly": (
        "3:8-9 3:12-15 5-19:4-19 6:3 8:3 10:2-3 12:3 14:2-3 16:3 18:2-3 7:20 9:20-21 11:20 13:20-21 15:20 17:20-21 20:5-8 20:15-18",
        "4:8-15 5:7-16 6:6-17 7:6-10 7:12 7:14-17 8:6-8 8:15-17 9-12:6-7 9-12:16-17",
    ),
    "bob": ("7-15:5-18 16:5-8 16:15-18", "4:9-14 5:8-16 6:7-17 7:6-17 8:6-11 8:15-17 9-14:6-7 9-14:16-17"),
    "ponytail": ("5:3-6 6:2-6 7-13:2-5 14:2-5 15:3-5 16:3-4 17:3", _CAP),
    "bun": ("", _CAP + " 0:10-13 1:9-14 2:9-14 3:10-13"),
    "space buns": ("", _CAP + " 1:6-8 2:5-9 3:5-9 4:6-8 1:15-17 2:14-18 3:14-18 4:15-17"),
    "braids": (_PLAITS, _CAP + " 9:6-7 9:17-18 10:6 10:17"),
    "dreadlocks": ("7-20:4-19 21:4 21:6 21:17 21:19", _FRAME),
}
HAIR_TEXTURE: Mapping[str, str] = {
    "curly": "curls",
    "afro": "curls",
    "dreadlocks": "strands",
    "braids": "plaits",
    "spiky": "strands",
}

_Y, _X = np.mgrid[0:SIZE, 0:SIZE]
TEXTURES: Mapping[str, Mask] = {
    "waves": (_X + 2 * _Y) % 4 == 0,
    "curls": (_X + _Y) % 3 == 0,
    "strands": _X % 3 == 0,
    "plaits": _Y % 3 == 0,
}

# Letters: m main, d darker, l lighter, s second colour, w white, k black, y yellow, r red, b blue, p pink, . nothing
Drawing = tuple[int, int, tuple[str, ...]]
HEADWEAR: Mapping[str, Drawing] = {
    "crown": (2, 8, ("m...m...m", "m.m.m.m.m", "mmmmmmmmm", "msmsmsmsm", "ddddddddd")),
    "tiara": (4, 9, ("...w...", ".mwswm.", "mwmmmwm")),
    "cap": (3, 7, ("..mmmmmm", ".mmmmmmmmm", "mmmmmmmmmmm", "mmmmmmmmmmm", "mmmmmmmmmmm", "ddddddddddddddd")),
    "backwards cap": (
        3,
        3,
        ("......mmmmmm", ".....mmmmmmmmm", "....mmmmmmmmmmm", "....mmmmmmmmmmm", "....mmmmmmmmmmm", "ddddddd....mmmm"),
    ),
    "beanie": (2, 7, ("....ll", "..mmmmmmm", ".mmmmmmmmm", "mmmmmmmmmmm", "mmmmmmmmmmm", "dldldldldld", "dldldldldld")),
    "top hat": (0, 5, (*("...mmmmmmmmm",) * 5, "...sssssssss", "...sssssssss", "mmmmmmmmmmmmmmm")),
    "cowboy hat": (
        1,
        3,
        (
            ".....mmm..mmmm",
            ".....mmmmmmmmm",
            ".....mmmmmmmmm",
            "m....mmmmmmmmm....m",
            "mm...ddddddddd...mm",
            ".mmmmmmmmmmmmmmmmm",
            "...mmmmmmmmmmmmm",
        ),
    ),
    "fedora": (
        2,
        5,
        ("....mmm.mmm", "...mmmmmmmmm", "...mmmmmmmmm", "...ddddddddd", "mmmmmmmmmmmmmmm", ".mmmmmmmmmmmmm"),
    ),
    "bucket hat": (
        3,
        4,
        ("....mmmmmmmmm", "...mmmmmmmmmmm", "...mmmmmmmmmmm", "...mmmmmmmmmmm", "..ddddddddddddd", "mmmmmmmmmmmmmmmmm"),
    ),
    "wizard hat": (
        0,
        4,
        (
            ".........mm",
            "........mmm",
            ".......mmmm",
            "......mmmmm",
            ".....mmmmmmm",
            "....mmmmmmmmm",
            "...sssssssssss",
            "mmmmmmmmmmmmmmmmm",
            "..mmmmmmmmmmmmm",
        ),
    ),
    "beret": (2, 5, ("...mmmmmm", ".mmmmmmmmmm", "mmmmmmmmmmmm", "mmmmmmmmmmmmm", "..ddddddddddd")),
    "bow": (2, 12, ("mm...mm", "mmmwmmm", "mmmwmmm", "dd...dd")),
    "flower": (3, 14, (".mm.", "myym", "myym", ".mm.")),
    "headband": (7, 7, ("mmmmmmmmmmm", "mmmmmmmmmmm")),
    "bandana": (5, 5, ("...mmmmmmmmm", "..mmwmmwmmwmm", ".mmmmmmmmmmmm", "mm")),
    "cat ears": (1, 7, ("m.........m", "mm.......mm", "mpm.....mpm", "mpmmmmmmmpm", ".d.......d.")),
    "halo": (0, 7, ("..yyyyyyy", ".y.......y", "..yyyyyyy")),
}
HOOD = "2:8-15 3:6-17 4:5-18 5-17:4-19 18:4-19 19-21:5-18"
# Hats that hold the hair down: above this row hair only shows where the hat lets it.
CLOSED_HATS: Mapping[str, int] = {
    "cap": 8, "backwards cap": 8, "beanie": 8, "top hat": 7, "cowboy hat": 7, "fedora": 7, "bucket hat": 8, "wizard hat": 8, "beret": 6, "hood": 22,
}  # fmt: skip
EYEWEAR: Mapping[str, Drawing] = {
    "glasses": (10, 8, ("mmmm.mmmm", "m..mmm..m", "m..m.m..m", "mmmm.mmmm")),
    "sunglasses": (10, 8, ("mmmmmmmmm", "mllm.mllm", "mllm.mllm", "mmmm.mmmm")),
    "stunner shades": (10, 8, ("mmmmmmmmm", "mwmm.mwmm", "mmwm.mmwm")),
    "party glasses": (10, 7, ("sssssmmmmm", "slllsmlllm", ".sss..mmm.")),
    "goggles": (9, 7, (".mmmmmmmmm.", "mlllllllllm", "mlwlllllwlm", "mlllllllllm", ".mmmmmmmmm.")),
    "3d glasses": (10, 8, ("wwwwwwwww", "wrrwwwbbw", "wrrw.wbbw", "wwww.wwww")),
    "eye patch": (9, 8, ("kkkkkkkkk", ".....kkkk", ".....kkkk", ".....kkkk", "......kk")),
}
HIDES_EYES = ("sunglasses", "stunner shades", "party glasses", "goggles", "3d glasses")
EARRINGS: Mapping[str, str] = {
    "hoop earrings": "14:6 15:5 15:7 16:6 14:18 15:17 15:19 16:18",
    "golden earrings": "13-15:6 13-15:18",
    "stud earrings": "13-14:6 13-14:18",
    "diamond earrings": "13-14:6 13-14:18",
}
NECKLACES: Mapping[str, Drawing] = {
    "golden yellow necklace": (21, 8, ("mmmmmm", ".dmmd.")),
    "gold chain": (21, 8, ("mdmdmd", ".mdmd.", "..mm..")),
    "silver diamond pendant necklace": (21, 8, ("m....m", ".m..m.", "..ss..")),
}
SMOKING: Mapping[str, Drawing] = {
    "smoking a cigarette": (13, 14, ("......l.", ".....l..", "......l.", "........", "wwwwwy..")),
    "smoking a brown joint with orange tip and smoke": (
        13,
        14,
        ("......l.", ".....l..", "......l.", "........", "mmmmms.."),
    ),
    "smoking a cigar": (14, 14, (".......l", "......l.", "........", "mmmmmms.", "dddddds.")),
}
CLOTHES: Mapping[str, Drawing] = {
    "shirt": (21, 5, ("..mm....mm", ".mmmm..mmmm", "mmmmmmmmmmmm")),
    "collared shirt": (21, 5, ("..mll..llm", ".mmmmllmmmm", "mmmmmmdmmmmm")),
    "suit": (21, 5, ("..mm....mm", ".mmmwwwwmmm", "mmmmmwswmmmm")),
    "hoodie": (20, 4, (".mmm......mmm", "mmdmm....mmdmm", "mmmddmmmmddmmm", "mmmmlmmmmlmmmm")),
    "jacket": (21, 5, (".mmm....mmm", "mmmdwwwwdmmm", "mmmdwwwwdmmm")),
    "sweater": (21, 5, ("...mmmmmm", ".mmdmdmdmmm", "mmmmmmmmmmmm")),
    "low cut shirt": (22, 6, ("mm......mm", "mmmm..mmmm")),
}
WINGS = "9:2-3 10:1-4 11:0-5 12-14:0-5 15:0-4 16:1-4 17:2-4 9:20-21 10:19-22 11:18-23 12-14:18-23 15:19-23 16:19-22 17:19-21"


@cache
def drawing(top: int, left: int, rows: tuple[str, ...]) -> Mapping[str, Mask]:
    """The mask (24, 24) of each letter of a drawing whose upper left cell is (top, left)."""
    masks: dict[str, Mask] = {}
    for y, row in enumerate(rows, start=top):
        for x, letter in enumerate(row, start=left):
            if letter != ".":
                masks.setdefault(letter, np.zeros((SIZE, SIZE), dtype=bool))[y, x] = True
    return masks


@cache
def around(mask_of: str) -> Mask:
    """The cells that touch a runs-shape by a side without belonging to it."""
    mask = runs(mask_of)
    grown = np.zeros_like(mask)
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    outline: Mask = grown & ~mask
    return outline
