"""Template filters for what was measured."""

from __future__ import annotations

from django import template

from evaluation.metrics import Measure
from evaluation.noise import Delta

register = template.Library()


@register.filter
def percent(share: float) -> str:
    """Return a share of 0 to 1 in percent: "83 %"."""
    return f"{100 * share:.0f} %"


@register.filter
def hundredths(share: float) -> str:
    """Return a share of 0 to 1 as a number of hundredths, with a point in every language."""
    return f"{100 * share:.1f}"


@register.filter
def measure(value: float, kind: Measure) -> str:
    """Return a measure's value: in percent where it is a share, else with two decimals."""
    return percent(value) if kind.is_share else f"{value:.2f}"


@register.filter
def change(delta: Delta | None) -> str:
    """Return what changed beside what chance alone would change: "+12 points (chance ±5)", "not a difference (…)"."""
    if delta is None:
        return "–"
    told = f"{100 * delta.change:+.0f} points" if delta.measure.is_share else f"{delta.change:+.2f}"
    if delta.floor is None:
        return f"{told} (chance unknown)"
    chance = f"chance ±{100 * delta.floor:.0f}" if delta.measure.is_share else f"chance ±{delta.floor:.2f}"
    return f"{told} ({chance})" if delta.is_difference else f"not a difference ({told}, {chance})"
