"""Words added to what a row of the lab says already."""

from __future__ import annotations


def with_line(text: str | None, line: str) -> str:
    """What stands there, unchanged but for blanks at its end, and `line` below it; the line alone where nothing stands."""
    return f"{text.rstrip()}\n{line}" if text and text.strip() else line
