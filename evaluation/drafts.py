"""What a reviewer typed on the desk and has not saved as scores yet: kept as it is typed, gone with the scores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from evaluation.models import EpochResult, ScoreDraft

MOST_CHARACTERS = 30_000


class DraftError(Exception):
    """A draft that cannot be kept; the message says why and what to do."""


@transaction.atomic
def keep(result: EpochResult, fields: Mapping[str, list[str]], *, by: User, seen: str) -> ScoreDraft | None:
    """Keep a reviewer's draft; all fields empty: it is discarded, and None comes back.

    `seen` is the `version` of the draft that the writer knows, empty for none. Raises DraftError when another window
    has written since, or when it is too long.
    """
    filled = {name: values for name, values in fields.items() if any(values)}
    if sum(len(value) for values in filled.values() for value in values) > MOST_CHARACTERS:
        raise DraftError(f"A draft holds at most {MOST_CHARACTERS:,} characters: shorten the observations.")
    EpochResult.objects.select_for_update(no_key=True).get(pk=result.pk)
    draft = ScoreDraft.objects.filter(epoch_result=result, by=by).first()
    if draft is not None and version(draft.saved_at) != seen:
        raise DraftError(
            f"Another window saved a draft of yours at {draft.saved_at:%H:%M:%S} UTC: reload to go on from there."
        )
    if not filled:
        discard(result, by=by)
        return None
    kept = draft or ScoreDraft(epoch_result=result, by=by)
    kept.fields = filled
    kept.save()
    return kept


def discard(result: EpochResult, *, by: User) -> None:
    """Forget a reviewer's draft; without one nothing happens."""
    ScoreDraft.objects.filter(epoch_result=result, by=by).delete()


def version(saved_at: datetime) -> str:
    """What tells one saving of a draft from the next."""
    return saved_at.isoformat()
