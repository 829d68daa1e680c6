"""Runs by the name or number that a person types."""

from __future__ import annotations

import difflib

from runs.models import TrainingRun


class UnknownRunError(ValueError):
    """No run of that name."""


def find_run(text: str) -> TrainingRun:
    """The run of that name, else of that number. Raises UnknownRunError with the names that are near."""
    run = TrainingRun.objects.filter(run_name=text).first()
    if run is None and text.isdecimal() and len(text) < 10:
        run = TrainingRun.objects.filter(pk=int(text)).first()
    if run is None:
        names = list(TrainingRun.objects.values_list("run_name", flat=True))
        near = difflib.get_close_matches(text, names, n=3) or names[:3]
        raise UnknownRunError(f"There is no run called {text!r}; there are: {', '.join(near) or 'none yet'}.")
    return run
