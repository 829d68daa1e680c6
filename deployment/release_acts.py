"""What a publisher may do with an epoch: verify it, promote it. `deployment.promotion` does it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from deployment import promotion
from evaluation.models import EpochResult
from punklab.acts import Act
from punklab.roles import PROMOTE

_ERRORS = (promotion.PromotionError, PermissionDenied)


class PromoteForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="Why this epoch: kept with the release and in the run's notes.",
    )


def _verify(result: EpochResult, by: User, _: dict[str, Any]) -> str:
    row = promotion.request_verification(result, by=by)
    return f"The judged picture is being drawn again ({row}); promote when it matches."


def _promote(result: EpochResult, by: User, given: dict[str, Any]) -> str:
    release = promotion.promote(result, by=by, reason=given["reason"])
    return f"{result} is live: {release}."


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
    question=lambda result: (
        f"Make {result} live? Visitors draw with it from then on; what is live now retires. "
        "Epoch and run are marked in the lab's own columns."
    ),
    blockers=promotion.blockers,
    perform=_promote,
    errors=_ERRORS,
    form=PromoteForm,
    offered=_has_run,
)
