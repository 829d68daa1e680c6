"""Template filters of the console."""

from __future__ import annotations

from typing import Any

from django import template

from punklab import badges

register = template.Library()
register.filter("badge", badges.badge)
register.filter("tone", badges.tone)


@register.filter
def words(need: Any) -> str:
    """Return what a need is called, one or many of it."""
    one, many = str(need.what).rsplit("|", 1)
    return one if need.n == 1 else many


@register.filter
def spaced(word: Any) -> str:
    """Return a word of a column as people write it: "in progress"."""
    return str(word).replace("_", " ")


@register.filter
def duration(seconds: float) -> str:
    """Return seconds in the words a person would use: "40 s", "12 min", "3 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
