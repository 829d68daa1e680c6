"""The words that people and captions use for colours: what each looks like and which colours it passes for.

Several prototypes a word, since a word covers a region and not a point; hand-picked over the whole sRGB cube.
"""

from __future__ import annotations

# Words that name a colour seen in a picture. The last word of a compound is its family ("dark green": green).
SEEN: dict[str, str] = {
    "black": "000000 0d0c0b 14141c 1c1712 101a12 1a0d12",
    "dark gray": "2e2e2e 3f4042 4e4f51 3a3d45 454038",
    "gray": "6a6a6c 7f7f7f 959595 86888f 8f8a84",
    "light gray": "acacac c0c0c0 d2d2d2 b9bec6 c4bfb8",
    "white": "ffffff f2f2f2 e8e9ec f3f7fb fbf8f2",
    "dark red": "4a0a0c 6a0c12 880013 701818",
    "red": "a81818 c81e20 e01010 ff0000 ff3333 d53f31 ee3a3a",
    "salmon": "f26a62 fa8072 ffa39c f59a8c e9857c",
    "orange": "d95f10 ef7a12 ff8c00 ff9900 f5a33a e8863a",
    "peach": "ffc9a0 ffd2b4 ffdac4 f7bf98",
    "tan": "c9a47c d6a77e b8915f d0a070 c4936c c69c82",
    "beige": "e0cfae ebdcc2 d8c3a5 eadfce f0c090 e4d4c4",
    "brown": "6b4226 7a5236 8a5a34 663300 9a6a40 5a3a28 a5744c 85604c",
    "dark brown": "2c1a10 3d2412 4a2c1a 33211a 40302a 443b34 37302a 4e3f2c",
    "yellow": "fff000 ffd700 ffcc00 f2d22e e5c100 fff25c",
    "light yellow": "fff6a0 fffac4 f8ef9e ffeeaa",
    "gold": "c9a227 d4af37 b8860b e0b030 f5c06a ffc060",
    "olive": "6b6b1e 808000 8a8a40 56581e",
    "lime green": "8ee020 a6f03c 7fff00 b4f050",
    "green": "008000 1f9e3c 2fb84a 33cc33 00ff00 3fa04a 22d25a 35dd88 20c474 3ccf84",
    "light green": "79df8e 8fe08a a5e8a0 90ee90 b8f0b4 8ef0b0 86e86e",
    "dark green": "0c2a12 1d4a28 12381c 004d20 28401f 0f5038",
    "sage green": "8a9e84 98c098 7a927a a9beaf 5c8865",
    "sea green": "2dbf90 2e8b57 35a878 28b48c 2cc494",
    "seafoam green": "95cbba 8fe0c4 a8e4cf 7ad4b4 b4dccc",
    "teal": "008080 0f7078 1f9a94 2aa8a0 155e62 38a8a4",
    "turquoise": "2fc8c0 40e0d0 5cd8d4 6ed7db 22c4cc",
    "cyan": "00ffff 20e8f8 37dff9 7cf4ff",
    "light blue": "9fc8ff b4d4f0 c4e0f8 9fd3ec 8fabd8 a5c4e4 b8dcec",
    "sky blue": "56a8e8 4fb4f0 6cb8ec 34a8f0",
    "steel blue": "6a8cb0 7b9cc0 4c7094 8498a9 5c7c9c",
    "blue": "0066ff 1f5fd8 2f6fd0 0000ff 3b77cd 0083ef 2a4fc0 4682f8 0040c0 3858e0",
    "dark blue": "0c1440 16264f 1b3a66 000080 1d2740 0a1a60",
    "lavender": "c4b0ec d0c4f4 dfdeff b8a4e0 d8c8ec",
    "purple": "6a2fb0 7a45b5 800080 8d61d7 9966ff 9a3fd0 a020f0 5a2090 7800ff 7c50a0",
    "dark purple": "2a1450 3a1a60 2e0a3e 40206a 341c44",
    "violet": "b050f0 c060ff d060ff c040e8 b878f8 e070ff",
    "magenta": "ff00ff e818d0 ff20c0 d8109c c00890 ff40e0",
    "pink": "ff66cc ff69b4 f07ab8 e05898 ff3c9c ff82a9 d06a98 e87ca0",
    "light pink": "ffb6c1 f8b0d0 ffc8dc fcd0d8 f4b8d8 ffc0e4",
    "raspberry": "a01850 b8204c 8c1c44 c02860",
    "maroon": "5c1024 4a0a20 6e1a30 501420",
    "mauve": "9a7088 a87c94 84606e b890a4",
    "light brown": "b08058 a88060 b88c64 9c7a5a",
}

# Words that a caption may use besides, each with the word above that stands for it.
SAID: dict[str, str] = {
    "grey": "gray", "silver": "light gray", "charcoal": "dark gray", "ash": "light brown", "ashy": "light brown",
    "golden": "gold", "blonde": "beige", "blond": "beige", "platinum": "light yellow", "sandy": "tan",
    "cream": "beige", "creme": "beige", "ivory": "white", "sand": "beige", "khaki": "tan",
    "auburn": "brown", "chestnut": "brown", "ginger": "orange", "copper": "orange", "hazel": "light brown",
    "honey": "gold", "caramel": "light brown", "brunette": "brown",
    "coral": "salmon", "rose": "pink", "fuchsia": "magenta", "burgundy": "maroon", "crimson": "red", "scarlet": "red",
    "lilac": "lavender", "indigo": "dark blue", "periwinkle": "lavender", "navy": "dark blue", "plum": "dark purple",
    "aqua": "turquoise", "mint": "seafoam green", "seafoam": "seafoam green", "emerald": "green", "lime": "lime green",
    "azure": "sky blue", "sage": "sage green", "bleu": "blue", "reddish": "red", "brownish": "brown",
    "amber": "gold", "mustard": "gold", "lemon": "yellow", "jade": "sea green",
}  # fmt: skip

# What else a seen word may pass for, besides the last word of its own name.
PASSES_FOR: dict[str, tuple[str, ...]] = {
    "salmon": ("pink", "red"), "peach": ("orange", "pink", "beige"), "tan": ("brown", "beige", "blonde"),
    "beige": ("tan", "white", "blonde"), "gold": ("yellow", "blonde"), "light yellow": ("blonde",),
    "yellow": ("gold", "blonde"), "olive": ("green", "brown"), "sea green": ("teal",), "seafoam green": ("teal",),
    "teal": ("turquoise", "cyan"), "turquoise": ("teal", "cyan"), "cyan": ("teal", "turquoise", "blue"),
    "lavender": ("purple",), "violet": ("purple", "magenta"), "magenta": ("pink", "purple", "violet"),
    "raspberry": ("red", "pink"), "maroon": ("red", "brown", "purple"), "mauve": ("pink", "purple"),
    "dark red": ("maroon",), "light pink": ("salmon",), "dark purple": ("maroon",), "light brown": ("tan", "blonde"),
    "orange": ("copper", "gold"), "brown": ("auburn", "tan"), "red": ("auburn",), "dark gray": ("black",),
    "light gray": ("white", "silver"),
}  # fmt: skip

MODIFIERS = frozenset(
    {
        "light",
        "pale",
        "bright",
        "dark",
        "deep",
        "medium",
        "hot",
        "soft",
        "pastel",
        "neon",
        "electric",
        "lighter",
        "darker",
    }
)
