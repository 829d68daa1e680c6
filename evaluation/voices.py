"""What the reviewers of an epoch say together: the median of their scores, the issues and strengths that any of them saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median_low

from django.contrib.auth.models import User

from evaluation.models import EpochResult, ScoreEntry

MOST_SPREAD = 2  # points between the lowest and the highest of a score; beyond it there is no common word


def standing(entries: Iterable[ScoreEntry]) -> list[ScoreEntry]:
    """Each reviewer's latest scores that were not taken back or cleared, the oldest first; scripts have no voice.

    `entries` are an epoch's, the newest first. Scores of nobody known stand until somebody known scores after them.
    """
    kept: dict[int | None, list[ScoreEntry]] = {}
    for entry in reversed(list(entries)):
        own = kept.setdefault(entry.by_id, [])
        if entry.source == ScoreEntry.Source.WITHDRAWN:
            del own[-1:]
        elif entry.is_clearing:
            kept.clear()
        elif entry.source != ScoreEntry.Source.MACHINE:
            own.append(entry)
    latest = sorted((own[-1] for own in kept.values() if own), key=lambda entry: entry.pk)
    return [entry for entry in latest if entry.by_id is not None or entry is latest[-1]]


def of(reviewer: User | None, entries: Iterable[ScoreEntry]) -> ScoreEntry | None:
    """The scores of one reviewer that stand; None where there are none."""
    wanted = reviewer.pk if reviewer else None
    return next((entry for entry in standing(entries) if entry.by_id == wanted), None)


def spreads(voices: Sequence[ScoreEntry]) -> dict[str, int]:
    """Points between the lowest and the highest of each score column; empty without voices."""
    columns = {name: [getattr(entry, name) for entry in voices] for name in EpochResult.SCORES}
    return {name: round(max(given) - min(given)) for name, given in columns.items() if given}


def combined(voices: Sequence[ScoreEntry]) -> dict[str, int | None]:
    """The median of each score column, of two in the middle the lower; None where they spread over 2, or nobody spoke."""
    apart = spreads(voices)
    return {
        name: round(median_low(getattr(entry, name) for entry in voices))
        if voices and apart[name] <= MOST_SPREAD
        else None
        for name in EpochResult.SCORES
    }


def disagreement(voices: Sequence[ScoreEntry]) -> str:
    """A sentence on the scores that have no common word; empty when there are none."""
    apart = {name.split("_")[0]: n for name, n in spreads(voices).items() if n > MOST_SPREAD}
    if not apart:
        return ""
    told = " and ".join(f"{n} points on {name}" for name, n in apart.items())
    return f"{len(voices)} reviewers are {told} apart: no common score until they are within {MOST_SPREAD}."


def said(voices: Sequence[ScoreEntry], field: str) -> list[str] | None:
    """The issues or strengths that any voice named, each once; None when none said anything of them."""
    given = [getattr(entry, field) for entry in voices if getattr(entry, field) is not None]
    return list(dict.fromkeys(word for words in given for word in words)) if given else None


def observations(voices: Sequence[ScoreEntry]) -> str:
    """What they observed; of several each line begins with who says so."""
    spoken = [entry for entry in voices if entry.observations]
    if len(spoken) < 2:
        return spoken[0].observations if spoken else ""
    return "\n".join(f"{entry.by or 'somebody'}: {entry.observations}" for entry in spoken)
