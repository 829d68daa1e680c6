"""A new caption version out of another one and the edits of its captions."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from runs.caption_edits import CaptionEditError, StaleEditError
from runs.caption_findings import find_later
from runs.caption_import import describe
from runs.caption_models import CaptionEdit, CaptionOrigin
from runs.caption_pairs import Pair
from runs.caption_states import State, states
from runs.models import Caption, CaptionVersion


def last_edit(version: CaptionVersion) -> int:
    """The key of the version's last edit, 0 without any: what a person has seen before asking for a new version."""
    return CaptionEdit.objects.filter(version=version).aggregate(last=Max("pk"))["last"] or 0


def make_version(source: CaptionVersion, name: str, notes: str = "", *, seen: int, by: User) -> CaptionVersion:
    """A new version with the approved and edited texts of `source` and the rest as it is, all at once or not at all.

    `seen` is `last_edit` as the person saw it. Raises StaleEditError when edits came after it, CaptionEditError when the name
    is missing or taken, or when nothing was changed.
    """
    name = name.strip()
    if not name:
        raise CaptionEditError("The new version needs a name.")
    with transaction.atomic():
        # Two who make versions of one source take turns: the second sees what the first did.
        CaptionVersion.objects.select_for_update().get(pk=source.pk)
        if (now := last_edit(source)) != seen:
            raise StaleEditError(_since(source, seen, now))
        found = states(source)
        changed = [state for state in found if state.is_taken]
        if not changed:
            raise CaptionEditError(
                f"No caption of {source} is approved or edited with another text: there is nothing to make a version of."
            )
        made = _named(name)
        Caption.objects.bulk_create(
            [Caption(version=made, image_id=state.image_id, stem=state.stem, text=_text_of(state)) for state in found],
            batch_size=1000,
        )
        made.notes = notes.strip() or f"{source} with {len(changed)} captions edited"
        made.save(update_fields=["notes"])
        describe(made, None, [Pair(state.stem, _text_of(state)) for state in found])
        CaptionOrigin.objects.create(version=made, source=source, n_changed=len(changed), by=by)
        find_later(made)
    return made


def _text_of(state: State) -> str:
    return state.text if state.is_taken else state.original


def _named(name: str) -> CaptionVersion:
    made, is_new = CaptionVersion.objects.get_or_create(version_name=name)
    if not is_new:
        raise CaptionEditError(f"A caption version is called {name!r} already: choose another name.")
    return made


def _since(source: CaptionVersion, seen: int, now: int) -> str:
    newer = CaptionEdit.objects.filter(version=source, pk__gt=seen, pk__lte=now).select_related("by")
    people = ", ".join(sorted({edit.by.get_username() for edit in newer}))
    stems = ", ".join(sorted({edit.stem for edit in newer})[:5])
    return f"Captions were edited since this page was shown (by {people}: {stems}): look again, then make the version."
