"""Measures in words, for people: the same dictionary that `measures.Measures.to_json` gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from punklab.pixels.asked import PARTS

AS_ASKED = ", as asked"  # what every finding says that is as the prompt wants it


def text_report(found: Mapping[str, Any]) -> str:
    """A few lines on one picture; `found` has its `file` and either the measures or an `error`."""
    if "error" in found:
        return str(found["error"])
    lines = [str(found["file"]), f"  {_raster(found['pixel_art'])}"]
    lines += [f"  {line}" for line in findings(found)]
    lines += [f"  defect: {defect['text']}" for defect in found["defects"]]
    lines += [f"  {copy_finding(found['copy'])}", f"  {_scores(found['suggested'])}"]
    return "\n".join([*lines, *(f"  note: {note}" for note in found["notes"])])


def findings(found: Mapping[str, Any]) -> list[str]:
    """A sentence for each part and accessory: "background salmon #faa19f, asked green #00ff00"."""
    told = [finding(part, found[part]) for part in PARTS]
    told += [accessory_finding(item) for item in found["accessories"]]
    if found["background"]["solid"] is False and found["background"]["observed"]["hex"]:
        told.append(f"background not solid: {found['background']['solid_share']:.0%} of it has its main colour")
    if found["hair"]["two_toned"]:
        told.append("hair in two tones")
    return told


def finding(name: str, check: Mapping[str, Any]) -> str:
    """What was found of one part in a few words."""
    seen = _colour(check["observed"]) or check["reason"]
    asked = _colour(check["asked"] or {})
    if not asked:
        return f"{name} {seen}"
    if check["matches"]:
        return f"{name} {seen}{AS_ASKED} ({asked})"
    unsure = f" ({check['reason']})" if check["matches"] is None and check["observed"]["hex"] else ""
    return f"{name} {seen}, asked {asked}{unsure}"


def accessory_finding(item: Mapping[str, Any]) -> str:
    """What was found of something worn that the prompt asks for, in a few words."""
    if item["matches"]:
        return f"{item['phrase']}{AS_ASKED}"
    if item["present"] is False:
        return f"no {item['phrase']}, though asked for"
    return finding(item["phrase"], item)


def copy_finding(copy: Mapping[str, Any]) -> str:
    """Whether the picture is a copy of a training image, in a sentence."""
    if copy["nearest"] is None:
        return f"copies not looked for: {copy['reason']}"
    verb = "a copy of" if copy["is_copy"] else "no copy; nearest is"
    return f"{verb} {copy['nearest']} (distance {copy['distance']:.3f}, threshold {copy['threshold']:.3f})"


def _raster(art: Mapping[str, Any]) -> str:
    verdict = {True: "pixel art", False: "no pixel art", None: "pixel art: cannot be told"}[art["is_pixel_art"]]
    outside = ", ".join(f"{name.replace('_', ' ')} {place}" for name, place in art["band"].items() if place != "inside")
    told = [f"{verdict}: {art['reason']}", f"{art['colours']['merged']} colours"]
    if outside:
        told.append(f"unlike the collection: {outside}")
    if art["photorealistic"]:
        told.append("photorealistic")
    return "; ".join(told)


def _colour(colour: Mapping[str, str | None]) -> str:
    return " ".join(text for text in (colour.get("word"), colour.get("hex")) if text)


def _scores(suggested: Mapping[str, Any]) -> str:
    scores = ", ".join(
        f"{name} {'–' if suggested[name] is None else suggested[name]}" for name in ("visual", "style", "prompt")
    )
    return f"suggested: {scores}"
