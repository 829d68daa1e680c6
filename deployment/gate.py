"""The gate before the public: what is live, and whether blind pairs prove an epoch better than it."""

from __future__ import annotations

from django.conf import settings

from deployment.models import Release
from evaluation.blind_common import standing
from evaluation.blind_results import Results, results_of
from evaluation.proof import State
from runs.models import Checkpoint

BLIND_WIN = "blind_win"  # the value of PROMOTION_GATE that asks for it; `punklab.checks` knows all


def rival() -> Release | None:
    """The live release that an epoch must beat; None where nothing is live, or only a demo or the base model itself:
    to be better than an untrained model proves nothing."""
    live = Release.objects.live()
    if live is None or live.is_demo or live.checkpoint.source == Checkpoint.Source.BASE:
        return None
    return live


def blind_results(checkpoint: Checkpoint, live: Release) -> Results | None:
    """What all tests of the two that stand say of the checkpoint; None where there is none."""
    tests = standing(checkpoint, live.checkpoint)
    return results_of(tests, checkpoint, live.checkpoint) if tests else None


def blocker(checkpoint: Checkpoint) -> str | None:
    """What the gate has against the checkpoint, without the tally, which voters are not to see; None for nothing."""
    live = rival()
    if settings.PROMOTION_GATE != BLIND_WIN or live is None or live.checkpoint_id == checkpoint.pk:
        return None
    found = blind_results(checkpoint, live)
    if found is None:
        return (
            f"It has not been compared blind with {live}: choose “Blind against live” (PROMOTION_GATE is {BLIND_WIN})."
        )
    if found.proof.state != State.WON:
        return f"Blind pairs do not prove it better than {live} (PROMOTION_GATE is {BLIND_WIN})."
    return None
