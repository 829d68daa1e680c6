"""Who may do what: four groups."""

from __future__ import annotations


def sync() -> None:
    """Create the groups."""
