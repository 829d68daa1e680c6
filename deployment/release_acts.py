"""What people may do with an epoch on its way to the public: compare it with what is live, verify it, promote it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from deployment import promotion
from deployment.models import Release
from evaluation import blind
from evaluation.blind_common import common
from evaluation.blind_order import BlindError
from evaluation.models import EpochResult
from evaluation.proof import FEWEST
from evaluation.results import checkpoint_of
from punklab.acts import Act
from punklab.roles import PROMOTE, SCORE
from runs.models import Checkpoint

_ERRORS = (promotion.PromotionError, PermissionDenied)


class PromoteForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="Why this epoch: kept with the release and in the run's notes.",
    )
    override = forms.CharField(
        required=False,
        label="Override",
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        help_text="Only where something stands against it: why it goes live all the same. Kept and shown with the release.",
    )


def _verify(result: EpochResult, by: User, _: dict[str, Any]) -> str:
    row = promotion.request_verification(result, by=by)
    return f"The judged picture is being drawn again ({row}); promote when it matches."


def _promote(result: EpochResult, by: User, given: dict[str, Any]) -> str:
    release = promotion.promote(result, by=by, reason=given["reason"], override=given["override"])
    return f"{result} is live: {release}."


def _question(result: EpochResult) -> str:
    lines = [
        f"Make {result} live? Visitors draw with it from then on; what is live now retires. "
        "Epoch and run are marked in the lab's own columns."
    ]
    if against := promotion.doubts(result):
        lines += ["Against it stands:", *(f"– {doubt}" for doubt in against)]
    return "\n".join(lines)


def _against_live(result: EpochResult) -> tuple[Checkpoint, Release] | str:
    """The epoch's checkpoint and the live release to compare it with, or a sentence why there is nothing to compare."""
    checkpoint, live = checkpoint_of(result), Release.objects.live()
    if checkpoint is None:
        return f"{result} has no LoRA file here, so it has no pictures to compare."
    if live is None:
        return "Nothing is live: there is nothing to compare with."
    if live.checkpoint_id == checkpoint.pk:
        return f"{result} is live itself: choose “Compare blind” to compare it with another epoch."
    found = common(checkpoint, live.checkpoint)
    return (checkpoint, live) if found.pairs else found.why_none(checkpoint, live.checkpoint)


def _live_blockers(result: EpochResult) -> list[str]:
    found = _against_live(result)
    return [found] if isinstance(found, str) else []


def _live_question(result: EpochResult) -> str:
    found = _against_live(result)
    if isinstance(found, str):
        return "A blind test against what is live cannot begin."
    checkpoint, live = found
    n = len(common(checkpoint, live.checkpoint).pairs)
    few = f" Fewer than {FEWEST} can prove nothing." if n < FEWEST else ""
    return f"Put {n} pictures of {result} beside those of {live}, without saying which is which?{few}"


def _compare_live(result: EpochResult, by: User) -> str:
    found = _against_live(result)
    if isinstance(found, str):
        raise BlindError(found)
    test = blind.start(found[0], found[1].checkpoint, by=by)
    return f"The blind test {test} has begun: vote under “Blind pairs”."


def _has_run(result: EpochResult) -> bool:
    return result.training_run_id is not None


VERIFY = Act(
    name="verify",
    label="Verify",
    permission=PROMOTE,
    question=lambda result: (
        f"Draw the judged test picture of {result} again, from its file as it is now? "
        "A promotion needs the two to match."
    ),
    perform=_verify,
    errors=_ERRORS,
    offered=_has_run,
)
PROMOTE_EPOCH = Act(
    name="promote",
    label="Promote",
    permission=PROMOTE,
    question=_question,
    blockers=promotion.faults,
    perform=_promote,
    errors=_ERRORS,
    form=PromoteForm,
    offered=_has_run,
)
COMPARE_LIVE = Act(
    name="compare-live",
    label="Blind against live",
    permission=SCORE,
    question=_live_question,
    blockers=_live_blockers,
    perform=lambda result, by, _: _compare_live(result, by),
    errors=(BlindError, PermissionDenied),
    offered=_has_run,
)
