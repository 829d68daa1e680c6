"""The words that people and captions use for colours: what each looks like and which colours it passes for.

Several prototypes a word, since a word covers a region and not a point: hand-picked over the whole sRGB cube, hair and
skin after what the lab's captions call them. A caption version adds those measured in its own pictures.
"""

from __future__ import annotations

# Words that name a colour seen in a picture. The last word of a compound is its family ("dark green": green).
SEEN: dict[str, str] = {
    "black": "000000 0d0c0b 14141c 1c1712 101a12 1a0d12 1d0200 161628",
    "dark gray": "2e2e2e 3f4042 4e4f51 3a3d45 454038",
    "gray": "6a6a6c 7f7f7f 959595 86888f 8f8a84 57555a 97928f 989898",
    "light gray": "acacac c0c0c0 d2d2d2 b9bec6 c4bfb8 b3b0b0 e5e5e5",
    "blue gray": "74858f 8a9ba6 9fadb8 6b7c88 b8c2cb",
    "green gray": "8a9a8c 77857a a8b5a6 93ac92",
    "purple gray": "857884 978894 6f6470",
    "brown gray": "86776f 9a8c80 6f635b",
    "white": "ffffff f2f2f2 e8e9ec f3f7fb fbf8f2 ffffe8 fff4f2",
    "dark red": "4a0a0c 6a0c12 880013 701818 7d1f1f",
    "red": "a81818 c81e20 e01010 ff0000 ff3333 d53f31 ee3a3a c62f42",
    "red orange": "fe4b03 f8481c e8541c dd4f27",
    "red pink": "fa2a55 f03868 e0304c",
    "salmon": "f26a62 fa8072 ffa39c f59a8c e9857c ea9d95",
    "orange": "d95f10 ef7a12 ff8c00 ff9900 f5a33a e8863a dd9543 e78441",
    "yellow orange": "ffad01 ffb52e f8b020",
    "peach": "ffc9a0 ffd2b4 ffdac4 f7bf98 ffc8a0 ffc5b3",
    "tan": "c9a47c d6a77e b8915f d0a070 c4936c c69c82 e3b68d",
    "beige": "e0cfae ebdcc2 d8c3a5 eadfce f0c090 e4d4c4 fee6ba",
    "brown": "6b4226 7a5236 8a5a34 663300 9a6a40 5a3a28 a5744c 85604c 9e7243 7d6364",
    "dark brown": "2c1a10 3d2412 4a2c1a 33211a 40302a 443b34 37302a 4e3f2c",
    "red brown": "8b2e16 6e1005 7a2a1c 884b2e a0442c",
    "golden brown": "b27a01 9b7a01 ad900d be6400 a87a20",
    "light brown": "b08058 a88060 b88c64 9c7a5a",
    "yellow": "fff000 ffd700 ffcc00 f2d22e e5c100 fff25c f8e701 ffff14",
    "light yellow": "fff6a0 fffac4 f8ef9e ffeeaa fcfe66 f6e49a",
    "yellow green": "c8f010 d0e429 cdfd02 c0e020 b6df19",
    "gold": "c9a227 d4af37 b8860b e0b030 f5c06a ffc060 d1b26f",
    "olive": "6b6b1e 808000 8a8a40 56581e b8c37f",
    "lime green": "8ee020 a6f03c 7fff00 b4f050 6ae745",
    "green": "008000 1f9e3c 2fb84a 33cc33 00ff00 3fa04a 22d25a 35dd88 20c474 3ccf84 5fce7f 3ffe9e 05db73",
    "light green": "79df8e 8fe08a a5e8a0 90ee90 b8f0b4 8ef0b0 86e86e c2e19e",
    "dark green": "0c2a12 1d4a28 12381c 004d20 28401f 0f5038 2c5f34 1d4a46",
    "sage green": "8a9e84 98c098 7a927a a9beaf 5c8865 70948a",
    "sea green": "2dbf90 2e8b57 35a878 28b48c 2cc494",
    "seafoam green": "95cbba 8fe0c4 a8e4cf 7ad4b4 b4dccc 7bf2da",
    "teal": "008080 0f7078 1f9a94 2aa8a0 155e62 38a8a4",
    "turquoise": "2fc8c0 40e0d0 5cd8d4 22c4cc",
    "tiffany blue": "94d6d0 87cec1 81d8d0 9be0e0 6ed7d6",
    "cyan": "00ffff 20e8f8 37dff9 7cf4ff 12c0d8",
    "pale cyan": "d4ffff e6fffd cafffb d0f9f3 c3fbf4",
    "light blue": "9fc8ff b4d4f0 c4e0f8 9fd3ec 8fabd8 a5c4e4 b8dcec c3d4ef bae4f4 9cb6ff",
    "sky blue": "56a8e8 4fb4f0 6cb8ec 34a8f0 3bb8ff 72c2cb 5bc8dd",
    "steel blue": "6a8cb0 7b9cc0 4c7094 8498a9 5c7c9c 6b92a6",
    "blue": "0066ff 1f5fd8 2f6fd0 0000ff 3b77cd 0083ef 2a4fc0 4682f8 0040c0 3858e0 1831cf 5678a9 6072ff",
    "dark blue": "0c1440 16264f 1b3a66 000080 1d2740 0a1a60 000c55 172c89",
    "blue purple": "3a18b1 4a30d0 5843cc 5a3cff 220796",
    "periwinkle": "566ee8 8080e0 6a7ae8 8e9af0",
    "lavender": "c4b0ec d0c4f4 dfdeff b8a4e0 d8c8ec b998da",
    "purple": "6a2fb0 7a45b5 800080 8d61d7 9966ff 9a3fd0 a020f0 5a2090 7800ff 7c50a0 c28be6",
    "dark purple": "2a1450 3a1a60 2e0a3e 40206a 341c44 480745 1f003b",
    "violet": "b050f0 c060ff d060ff c040e8 b878f8 e070ff d84dff",
    "magenta": "ff00ff e818d0 ff20c0 d8109c c00890 ff40e0 e50bb4",
    "pink": "ff66cc ff69b4 f07ab8 e05898 ff3c9c ff82a9 d06a98 e87ca0 e655a0 ff1ac8 ff99cc ed98bf",
    "light pink": "ffb6c1 f8b0d0 ffc8dc fcd0d8 f4b8d8 ffc0e4 f6acc5 f7c2bc ff98b9",
    "raspberry": "a01850 b8204c 8c1c44 c02860 820747 950058",
    "maroon": "5c1024 4a0a20 6e1a30 501420",
    "mauve": "9a7088 a87c94 84606e b890a4",
}

# Words for one part only; they stand in the place of those in `NOT_OF`.
SEEN_OF: dict[str, dict[str, str]] = {
    "hair": {
        "black": "000000 0b0b0b 1c1b1a 2e2f31 363135 212528 231a1b 171516 1a140b 383839",
        "dark gray": "40403f 544f55 4a4c50 5a5555",
        "dark brown": "2d1608 251912 3d2f26 372c2f 412719 2d221b 443b34 442f2c 4e4031 353b3d",
        "brown": "523628 4b2a11 653d2b 522716 643c18 735a43 5c3f32 5a3a24 673e0c 663300 8d6058 7a5236 743f2e 615646",
        "light brown": "827159 9c7a5a a88060 b79474 8f7a63",
        "dirty blonde": "bfab8c ba9b6d b9a077 c9ac7c",
        "blonde": "cbbd9a dbcaac ffcc66 f3cd4c e8c878 fad9b8 e8af82 ffbb5a f0d68a d9b45a ffdf90",
        "platinum blonde": "f0e6c8 f5ebcd fff0b8",
        "yellow": "fff000 ffd700 ffff00 f2e22e f8e701",
        "ginger": "a85420 cd5f28 c4622a b8602c d9824a cc7a3a",
        "dark red": "5a1a1c 6a1a1a 4a0c10 701818",
        "red": "862326 8c2226 a40000 93221e c3093a ff3333 e02020 85322e 94363c c0282c",
        "white": "dcd5d0 e5e1c8 ffffff eeeef2 d9e9e4",
    },
    "skin": {
        "light green": "dfebc6 cdeecd bdd5c5 d0d5c0 c5c8b7 79df8e 8fe08a 85eb71 a5e8a0 c0e8b0",
        "light gray": "cdc2c8 bbbbbb d0d0d0 c0c0c0 ded8dc",
        "pale": "fef3ff f6e8e0 e8dcc4 f8ece0 fff0e4",
        "light": "f5c4a3 f2baad e4b9a6 f4d0c2 f0c090 ffccaa fdceb3 ffd8c4 f2c29d fab8a5 ffe0c0",
        "medium": "d0a070 c7987c d59576 dbb4a3 c8966f e0a784 dab9aa",
        "olive": "d6a78d c5a28c d2a868 e2b981 bda28d c4ae85 b9a069",
        "tan": "d8b494 eda47e cb8577 e3967a d98e66 cd8658",
        "brown": "ba8671 ab582e b27f60 8d573d a06e5d 96603c ad7c5e",
        "dark": "5c4034 7a574e 694530 4a2f24 8e543c 3d2a22",
    },
    "eyes": {
        "black": "000000 0d0c0b 14141c 1e1e22 1c1712",
        "dark brown": "2c1a10 3d2412 4a2c1a 353037 3f302c 45303f 4a4745 4f3d3a",
        "brown": "663300 904f39 6b4226 583c36 4c2b19 7a5236 85604c 946870 cb8470",
        "hazel": "7c6429 6c7041 554c1e 8a7a4a 9e9e8d 768355",
        "gray": "69777d 7f8588 8a8a8a 9a9a9a 6d6d70",
        "blue": "3399ff 374c5d 52557b 4a78b0 2f6fd0 3b77cd 0066ff 5b9bd5",
        "purple": "6a2fb0 8877ae 919abd 7a5aa0 33367b 9966ff",
    },
    "lips": {
        "rose": "cc6666 cc9999 d98880 c87878 e08a8a b86a64 dbb4a3 cf8f86 d0706c a5645c",
    },
}
NOT_OF: dict[str, frozenset[str]] = {
    "hair": frozenset({"tan", "beige", "peach", "gold", "light yellow", "golden brown", "red brown", "yellow orange"}),
    "skin": frozenset(
        {"tan", "beige", "peach", "brown", "light brown", "dark brown", "red brown", "golden brown", "brown gray"}
    ),
    "eyes": frozenset({"dark gray", "steel blue", "red brown", "brown gray", "purple gray"}),
    "lips": frozenset({"brown gray", "tan"}),
}

# Words that a caption may use besides, each with the word above that stands for it.
SAID: dict[str, str] = {
    "grey": "gray", "silver": "light gray", "silvery": "light gray", "charcoal": "dark gray",
    "ash": "light brown", "ashy": "light brown", "golden": "gold", "blonde": "beige", "blond": "beige",
    "blonder": "beige", "platinum": "light yellow", "sandy": "tan", "cream": "beige", "creme": "beige",
    "eggshell": "beige", "ivory": "white", "sand": "beige", "khaki": "tan", "auburn": "red brown",
    "chestnut": "brown", "ginger": "orange", "strawberry": "orange", "copper": "orange", "hazel": "golden brown",
    "honey": "gold", "caramel": "light brown", "brunette": "brown", "coral": "salmon", "rose": "pink",
    "rouge": "mauve", "fuchsia": "magenta", "burgundy": "maroon", "crimson": "red", "scarlet": "red",
    "lilac": "lavender", "indigo": "blue purple", "periwinkle": "periwinkle", "navy": "dark blue",
    "plum": "dark purple", "aqua": "turquoise", "mint": "seafoam green", "seafoam": "seafoam green",
    "emerald": "green", "lime": "yellow green", "azure": "sky blue", "sage": "sage green", "bleu": "blue",
    "icey": "light blue", "reddish": "red", "brownish": "brown", "bluish": "blue", "greenish": "green",
    "pinkish": "pink", "yellowish": "yellow", "amber": "gold", "mustard": "gold", "lemon": "yellow",
    "jade": "sea green", "raven": "black",
}  # fmt: skip
SAID_OF: dict[str, dict[str, str]] = {
    "hair": {
        "blonde": "blonde", "blond": "blonde", "blonder": "blonde", "platinum": "platinum blonde",
        "golden": "blonde", "gold": "blonde", "honey": "blonde", "sandy": "dirty blonde", "sand": "dirty blonde",
        "beige": "blonde", "tan": "light brown", "ash": "light brown", "auburn": "ginger", "copper": "ginger",
        "ginger": "ginger", "strawberry": "ginger", "chestnut": "brown", "hazel": "light brown", "raven": "black",
    },
    "skin": {
        "fair": "light", "white": "pale", "asian": "light", "peach": "light", "beige": "light", "tanned": "tan",
        "medium": "medium", "black": "dark", "chocolate": "dark", "caramel": "brown", "deep": "dark",
    },
    "eyes": {"hazel": "hazel", "honey": "hazel", "emerald": "green", "periwinkle": "purple", "lilac": "purple"},
    "lips": {"rose": "rose", "natural": "rose"},
}  # fmt: skip

# What else a seen word may pass for, besides the last word of its own name and that name.
PASSES_FOR: dict[str, tuple[str, ...]] = {
    "salmon": ("pink", "red"), "peach": ("orange", "pink", "beige"), "tan": ("brown", "beige", "blonde"),
    "beige": ("tan", "white", "blonde"), "gold": ("yellow", "blonde", "orange"), "light yellow": ("blonde",),
    "yellow": ("gold", "blonde"), "olive": ("green", "brown"), "sea green": ("teal",), "seafoam green": ("teal",),
    "teal": ("turquoise", "cyan"), "turquoise": ("teal", "cyan", "blue"), "tiffany blue": ("teal", "turquoise"),
    "cyan": ("teal", "turquoise", "blue"), "pale cyan": ("blue", "teal", "white"),
    "blue gray": ("blue",), "green gray": ("green",), "purple gray": ("purple",), "brown gray": ("brown",),
    "steel blue": ("gray",), "sage green": ("gray",),
    "lavender": ("purple", "violet"), "violet": ("purple", "magenta"), "magenta": ("pink", "purple", "violet"),
    "purple": ("violet", "lavender"), "blue purple": ("blue",), "periwinkle": ("blue", "purple", "lavender"),
    "raspberry": ("red", "pink", "magenta"), "maroon": ("red", "brown", "purple"), "mauve": ("pink", "purple"),
    "dark red": ("maroon",), "light pink": ("salmon",), "dark purple": ("maroon",), "red pink": ("red", "raspberry"),
    "red orange": ("red",), "yellow orange": ("yellow", "gold"), "yellow green": ("yellow", "lime"),
    "light brown": ("tan", "blonde"), "golden brown": ("gold", "yellow", "tan"), "red brown": ("red", "maroon"),
    "orange": ("copper", "gold"), "brown": ("tan",), "dark gray": ("black",), "light gray": ("white",),
    "lime green": ("lime", "yellow"),
}  # fmt: skip
PASSES_FOR_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "hair": {
        "black": (), "dark gray": ("black",), "dark brown": ("black",), "brown": (),
        "light brown": ("blonde",), "dirty blonde": ("brown",), "blonde": ("yellow", "gold", "beige"),
        "platinum blonde": ("white", "yellow"), "yellow": ("blonde", "gold"), "ginger": ("red", "orange", "brown", "auburn"),
        "dark red": ("brown", "auburn", "maroon"), "red": ("auburn",), "orange": ("ginger", "red"),
        "red orange": ("red", "ginger"), "white": ("gray", "blonde"), "light gray": ("white",),
        "brown gray": ("brown", "gray"), "maroon": ("red", "brown"),
    },
    "skin": {
        "pale": ("light", "white", "pink"), "light": ("pale", "medium", "pink"), "medium": ("light", "tan", "olive", "brown"),
        "olive": ("medium", "light", "tan", "brown"), "tan": ("medium", "olive", "light", "brown"),
        "brown": ("medium", "dark", "tan", "olive"), "dark": ("brown", "black"), "black": ("dark",),
        "light pink": ("pale", "light"), "white": ("pale",), "salmon": ("light", "tan"),
    },
    "eyes": {
        "black": ("brown",), "dark brown": ("black",), "hazel": ("brown", "green", "gold"), "light brown": ("hazel",),
        "gray": ("blue", "green"), "blue gray": ("blue", "green"), "green gray": ("green",), "olive": ("green", "hazel", "brown"),
        "sage green": ("hazel", "gray"), "golden brown": ("hazel", "brown"), "gold": ("hazel", "yellow"),
        "purple": ("blue",), "blue purple": ("blue",), "mauve": ("brown", "pink", "purple"),
    },
    "lips": {
        "rose": ("pink", "red", "brown", "salmon", "mauve"), "pink": ("rose",), "salmon": ("rose", "pink", "red"),
        "mauve": ("rose", "pink", "purple"), "light pink": ("rose",), "peach": ("rose", "pink"),
        "red": ("rose",), "red brown": ("red", "rose"), "light brown": ("rose",), "raspberry": ("red", "pink", "rose"),
        "red pink": ("red", "rose"),
    },
}  # fmt: skip

MODIFIERS = frozenset(
    [
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
        "vivid",
        "warm",
        "cool",
        "lighter",
        "darker",
        "dirty",
    ]
)
