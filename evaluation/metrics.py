"""From the measures of pictures to those of an epoch: means and spread, traits obeyed, issues; no database.

A picture's measures are the dictionary of `punklab.pixels.measures`, docs/judging.md has its shape and that of the
metrics made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from punklab.pixels.asked import PARTS
from punklab.pixels.measures import VERSION
from punklab.pixels.report import findings

Measured = Mapping[str, Any]
Metrics = dict[str, Any]

MEASURED_BY = "punklab"
FAULTY_BELOW = 0.7  # as the lab's rules: under 7 of 10 is an issue
COPIES_ABOVE = 0.1  # the share of copies above which an epoch is overtrained


@dataclass(frozen=True)
class Measure:
    """One number about a picture that can be compared over epochs; a larger one is better.

    `value` gives None where a picture says nothing; `is_share` numbers are 0 or 1 and shown in percent.
    """

    key: str
    label: str
    value: Callable[[Measured], float | None]
    is_share: bool = True


def _matches(part: str) -> Callable[[Measured], float | None]:
    return lambda found: _number(found[part]["matches"])


def _inside(band: str) -> Callable[[Measured], float | None]:
    return lambda found: float(found["pixel_art"]["band"][band] == "inside")


def _suggested(score: str) -> Callable[[Measured], float | None]:
    return lambda found: _number(found["suggested"][score])


MEASURES: tuple[Measure, ...] = (
    *(Measure(part, f"{part} as asked", _matches(part)) for part in ("background", "hair", "skin", "eyes", "lips")),
    Measure("accessories", "accessories as asked", lambda found: accessories_share(found)),
    Measure("solid", "background solid", lambda found: _number(found["background"]["solid"])),
    Measure("pixel_art", "pixel art", lambda found: _number(found["pixel_art"]["is_pixel_art"])),
    Measure(
        "lattice",
        "raster",
        lambda found: None if found["pixel_art"]["lattice"] is None else found["pixel_art"]["lattice"]["score"],
        is_share=False,
    ),
    Measure("colours_inside", "colours like the collection's", _inside("colours")),
    Measure("isolated_inside", "lone cells like the collection's", _inside("isolated_share")),
    Measure("outline_inside", "outline like the collection's", _inside("outline_share")),
    Measure("clean", "no defects", lambda found: float(not found["defects"])),
    Measure(
        "original",
        "no copy",
        lambda found: None if found["copy"]["is_copy"] is None else float(not found["copy"]["is_copy"]),
    ),
    *(
        Measure(f"suggested_{name}", f"suggested {name}", _suggested(name), is_share=False)
        for name in ("visual", "style", "prompt")
    ),
)
BY_KEY = {measure.key: measure for measure in MEASURES}
TRAITS = (*PARTS, "accessories")


def is_current(measures: Any) -> bool:
    """Whether a stored dictionary has the shape that is read here; an older one is to be measured again."""
    return isinstance(measures, dict) and measures.get("version") == VERSION


def ours(written: Any) -> Metrics | None:
    """Our part of a mirrored JSON column, beside what other scripts wrote there; None where there is none."""
    if not isinstance(written, dict):
        return None
    return written if written.get("measured_by") == MEASURED_BY else written.get(MEASURED_BY)


def beside_theirs(written: Any, mine: Metrics) -> Metrics:
    """A mirrored JSON column with ours in it: alone, or under a key of its own beside another script's."""
    if not written or (isinstance(written, dict) and written.get("measured_by") == MEASURED_BY):
        return mine
    theirs = written if isinstance(written, dict) else {"before": written}
    return {**theirs, MEASURED_BY: mine}


def values(found: Measured) -> dict[str, float]:
    """A picture's value of every measure that says something of it."""
    return {each.key: value for each in MEASURES if (value := each.value(found)) is not None}


def metrics_of(pictures: Sequence[Measured], measured_at: str) -> Metrics:
    """The metrics of an epoch's pictures: what the lab's views read, in percent, and the mean, spread and number of each
    measure, the traits as [judged, obeyed]."""
    rows = [values(found) for found in pictures]
    columns = {key: [row[key] for row in rows if key in row] for key in BY_KEY}
    means = {key: sum(column) / len(column) for key, column in columns.items() if column}
    judged = [means[key] for key in ("background", "hair") if key in means]
    two_toned = [found["hair"]["two_toned"] for found in pictures if found["hair"]["two_toned"] is not None]
    return {
        "measured_by": MEASURED_BY,
        "version": VERSION,
        "measured_at": measured_at,
        "n_pictures": len(pictures),
        "color_accuracy": _percent(sum(judged) / len(judged)) if judged else None,
        "background_accuracy": _percent(means.get("background")),
        "hair_accuracy": _percent(means.get("hair")),
        "hair_two_toned": sum(two_toned) / len(two_toned) > 1 - FAULTY_BELOW if two_toned else None,
        "style_quality": _rounded(means.get("suggested_style")),
        "pixel_art_purity": _percent(means.get("pixel_art")),
        "photorealism_score": _percent(_share(found["pixel_art"]["photorealistic"] for found in pictures)),
        "means": {key: round(mean, 4) for key, mean in means.items()},
        "spread": {key: round(_deviation(column), 4) for key, column in columns.items() if len(column) > 1},
        "judged": {key: len(column) for key, column in columns.items() if column},
        "traits": {trait: counts for trait in TRAITS if (counts := _obeyed(trait, pictures))[0]},
    }


def issues_of(pictures: Sequence[tuple[str, Measured]]) -> list[dict[str, Any]]:
    """What is wrong with an epoch by its (prompt's name, measures) pairs: kind, share of pictures, prompts, a sentence."""
    found = []
    for kind, (label, is_wrong) in _ISSUES.items():
        verdicts = [(name, wrong) for name, each in pictures if (wrong := is_wrong(each)) is not None]
        hit = [name for name, wrong in verdicts if wrong]
        limit = COPIES_ABOVE if kind == "overtrained" else 1 - FAULTY_BELOW
        if hit and len(hit) / len(verdicts) > limit:
            told = f"{label} in {len(hit)} of {len(verdicts)} pictures"
            found.append(
                {
                    "issue": kind,
                    "share": round(len(hit) / len(verdicts), 3),
                    "prompts": list(dict.fromkeys(hit)),
                    "text": told,
                }
            )
    return found


def checks_of(measures: Any) -> dict[str, Any]:
    """What measures say in the columns of a prompt test result; of an older shape what that said then."""
    if not isinstance(measures, dict):
        return {}
    if "is_pixel_art" in measures:  # version 1
        return {
            "correct_background_color": measures["background"]["matches"],
            "correct_hair_color": measures["hair"]["matches"],
            "is_pixel_art": measures["is_pixel_art"],
            "observations": "; ".join(measures["suggested"]["reasons"]),
        }
    present = [item["present"] for item in measures["accessories"] if item["present"] is not None]
    return {
        "correct_background_color": measures["background"]["matches"],
        "correct_hair_color": measures["hair"]["matches"],
        "correct_eye_color": measures["eyes"]["matches"],
        "accessories_visible": all(present) if present else None,
        "is_pixel_art": measures["pixel_art"]["is_pixel_art"],
        "has_random_artifacts": _has_artifacts(measures),
        "observations": "; ".join([*findings(measures), *(defect["text"] for defect in measures["defects"])]),
    }


def accessories_share(found: Measured) -> float | None:
    """The share of the accessories asked for that are as asked, of those that can be judged; None without one."""
    return _share(item["matches"] for item in found["accessories"] if item["matches"] is not None)


def _obeyed(trait: str, pictures: Iterable[Measured]) -> list[int]:
    checks = [item for found in pictures for item in (found[trait] if trait == "accessories" else [found[trait]])]
    judged = [check["matches"] for check in checks if check["matches"] is not None]
    return [len(judged), sum(judged)]


def _has_artifacts(found: Measured) -> bool:
    strays = any(defect["kind"] == "stray_cells" for defect in found["defects"])
    return strays or found["pixel_art"]["band"]["isolated_share"] == "above"


def _not(part: str) -> Callable[[Measured], bool | None]:
    return lambda found: None if found[part]["matches"] is None else not found[part]["matches"]


_ISSUES: dict[str, tuple[str, Callable[[Measured], bool | None]]] = {
    "wrong_background_color": ("background in another colour than asked", _not("background")),
    "background_not_solid": ("background not solid", lambda found: not found["background"]["solid"]),
    "wrong_hair_color": ("hair in another colour than asked", _not("hair")),
    "two_toned_hair": ("hair in two tones", lambda found: found["hair"]["two_toned"]),
    "wrong_skin_color": ("skin in another colour than asked", _not("skin")),
    "wrong_eye_color": ("eyes in another colour than asked", _not("eyes")),
    "missing_accessories": (
        "accessories not as asked",
        lambda found: None if (share := accessories_share(found)) is None else share < 1,
    ),
    "random_pixels": ("stray or lone cells", _has_artifacts),
    "not_pixel_art": (
        "no pixel art",
        lambda found: None if found["pixel_art"]["is_pixel_art"] is None else not found["pixel_art"]["is_pixel_art"],
    ),
    "photorealistic": ("a photograph's look", lambda found: found["pixel_art"]["photorealistic"]),
    "overtrained": ("copies of training images", lambda found: found["copy"]["is_copy"]),
}
ISSUES = frozenset(_ISSUES)
# The mirrored columns that say an issue too, each with the issues that set it.
FLAGS = {
    "has_wrong_backgrounds": ("wrong_background_color", "background_not_solid"),
    "has_random_pixels": ("random_pixels",),
    "has_wrong_colors": ("wrong_hair_color", "wrong_skin_color", "wrong_eye_color"),
    "is_photorealistic": ("photorealistic",),
    "is_overtrained": ("overtrained",),
}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _share(facts: Iterable[Any]) -> float | None:
    known = [bool(fact) for fact in facts]
    return sum(known) / len(known) if known else None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _deviation(column: Sequence[float]) -> float:
    mean = sum(column) / len(column)
    return math.sqrt(sum((value - mean) ** 2 for value in column) / (len(column) - 1))
