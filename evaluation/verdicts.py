"""The lab's thresholds: from three scores to a verdict, and what low scores say when nobody says more."""

from __future__ import annotations

import math
import re
from types import MappingProxyType

BEST, GOOD, ACCEPTABLE, SKIP = "best", "good", "acceptable", "skip"
THRESHOLDS = ((8, BEST), (7, GOOD), (5, ACCEPTABLE))
PRODUCTION_AVERAGE = 8
LOWEST, HIGHEST = 0, 10

WRONG_BACKGROUND = "wrong_background_color"
WRONG_COLOURS = "color_accuracy_issues"
FAULTY_BELOW = 7
# The score that speaks for an issue when neither a person nor a measure does, and the column that says so too
ISSUE_SCORES = MappingProxyType({WRONG_BACKGROUND: "prompt_adherence_score", WRONG_COLOURS: "visual_quality_score"})
ISSUE_FLAGS = MappingProxyType({WRONG_BACKGROUND: "has_wrong_backgrounds", WRONG_COLOURS: "has_wrong_colors"})

_BACKGROUND = re.compile(r"background|(?<![a-z])bg(?![a-z])", re.IGNORECASE)
_COLOUR = re.compile(r"colou?r", re.IGNORECASE)

PIXEL_ART = "pixel_art_style_maintained"
NO_PHOTO = "not_photorealistic"
DEFAULT_STRENGTHS = (PIXEL_ART, NO_PHOTO)

# What the desk offers to tick: the word as it is kept, and as it is shown
ISSUE_TAGS = (
    (WRONG_BACKGROUND, "background"),
    (WRONG_COLOURS, "colours"),
    ("random_pixels", "stray pixels"),
    ("wrong_eyes", "eyes"),
    ("unclean_accessories", "accessories"),
    ("not_pixel_art", "not pixel art"),
    ("photorealistic", "photo look"),
    ("overtrained", "copies"),
)
STRENGTH_TAGS = (
    (PIXEL_ART, "pixel art"),
    ("accurate_colors", "colours"),
    ("solid_background", "solid background"),
    ("clean_eyes", "eyes"),
    ("clean_accessories", "accessories"),
    ("consistent_over_prompts", "consistent"),
)
# Words among them that set a mirrored column of their own
TAG_FLAGS = MappingProxyType(
    {
        "random_pixels": "has_random_pixels",
        "photorealistic": "is_photorealistic",
        "overtrained": "is_overtrained",
    }
)


def verdict_for(average: float) -> str:
    """The lab's word for the mean of the three scores: best from 8, good from 7, acceptable from 5, else skip."""
    return next((verdict for least, verdict in THRESHOLDS if average >= least), SKIP)


def whole(score: float | None) -> int | None:
    """A suggested score as people give it: the nearest whole number, of two the lower; None for None."""
    return None if score is None else math.ceil(score - 0.5)


def kind_of_issue(text: str) -> str | None:
    """Which derived issue a person's own words are about ("lad_background_beige_not_blue"); None: another one."""
    if _BACKGROUND.search(text):
        return WRONG_BACKGROUND
    return WRONG_COLOURS if _COLOUR.search(text) else None
