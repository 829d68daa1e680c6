"""The work on a version's captions: every step is appended, the version itself stays as it is, and all can be undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from runs import caption_findings
from runs.caption_models import CaptionBatch, CaptionEdit
from runs.caption_pairs import MOST_CAPTION_BYTES
from runs.caption_states import State, Status, state_of, states
from runs.models import Caption, CaptionVersion

_SHOWN = 8


class CaptionEditError(ValueError):
    """A step that cannot be taken; the message is a sentence for people."""


class StaleEditError(CaptionEditError):
    """Somebody else changed the caption since it was shown."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A new text for a caption as it stood at step `number`; `why` names what it does, in words.

    Without a status the text decides it; without corrections those that are there stay.
    """

    stem: str
    number: int
    before: str
    after: str
    why: str = ""
    status: str | None = None
    corrections: str | None = None


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What came of changing many captions: the batch (None when nothing was left to do), and stems left as they were."""

    batch: CaptionBatch | None
    n_changed: int
    left: list[str]


def save(
    version: CaptionVersion,
    stem: str,
    text: str,
    corrections: str = "",
    *,
    number: int,
    by: User,
    status: str | None = None,
) -> State:
    """Take the next step with a caption that was shown at step `number`; the same again changes nothing.

    Without a `status` the text decides: edited when it differs from the version's, pending when it no longer does.
    Raises StaleEditError when somebody else changed the caption meanwhile, CaptionEditError for a text that cannot be kept.
    """
    state = _require(version, stem)
    text, corrections = clean_text(text, state.original), _plain(corrections)
    if status is None:
        status = _status_of(state, text)
    if (text, corrections, status) == (state.text, state.corrections, state.status):
        return state
    _refuse_stale(state, number)
    findings = [] if text == state.original else _found(version, [(stem, text)])[0]
    _append(version, [_next(version, state, by, text=text, corrections=corrections, status=status, findings=findings)])
    return _require(version, stem)


def undo(version: CaptionVersion, stem: str, *, number: int, by: User) -> State:
    """Go back one step; the step itself stays in the history. Raises as `save` does, and when there is none."""
    state = _require(version, stem)
    _refuse_stale(state, number)
    history = _histories(version, [stem])[stem]
    target = _before(history, state.number)
    if target is None:
        raise CaptionEditError(f"There is nothing to undo: {stem} stands as the version has it.")
    _append(version, [_back_to(version, state, history, target, by)])
    return _require(version, stem)


def apply(version: CaptionVersion, changes: Sequence[Change], words: str, *, by: User) -> Applied:
    """Write many changes as one batch; captions that were changed meanwhile are left and named.

    A fixed number of queries. Raises CaptionEditError for a text that cannot be kept; nothing is written then.
    """
    found = {state.stem: state for state in states(version, [change.stem for change in changes])}
    fresh = [each for each in changes if each.stem in found and found[each.stem].number == each.number]
    left = sorted({each.stem for each in changes} - {each.stem for each in fresh})
    steps = [(found[each.stem], _facts(found[each.stem], each)) for each in fresh]
    steps = [(state, facts) for state, facts in steps if facts != _standing_facts(state)]
    if not steps:
        return Applied(batch=None, n_changed=0, left=left)
    rewritten = [(state.stem, facts["text"]) for state, facts in steps if facts["text"] != state.original]
    findings = dict(zip([stem for stem, _ in rewritten], _found(version, rewritten), strict=True))
    with transaction.atomic():
        batch = CaptionBatch.objects.create(version=version, words=_plain(words), by=by)
        _append(
            version,
            [
                _next(version, state, by, findings=findings.get(state.stem, []), batch=batch, **facts)
                for state, facts in steps
            ],
        )
    return Applied(batch=batch, n_changed=len(steps), left=left)


def undo_batch(batch: CaptionBatch, *, by: User) -> Applied:
    """Take a whole batch back; captions that were changed after it are left and named."""
    version = batch.version
    with transaction.atomic():
        if not CaptionBatch.objects.filter(pk=batch.pk, undone_at=None).update(undone_by=by, undone_at=timezone.now()):
            raise CaptionEditError("This was undone already.")
        stems = list(batch.edits.values_list("stem", flat=True))
        histories = _histories(version, stems)
        found = states(version, stems)
        rows = [
            _back_to(version, state, histories[state.stem], _before(histories[state.stem], state.number) or 0, by)
            for state in found
            if state.batch_id == batch.pk
        ]
        _append(version, rows)
    left = sorted(set(stems) - {row.stem for row in rows})
    return Applied(batch=batch, n_changed=len(rows), left=left)


def clean_text(text: str, original: str) -> str:
    """The text as it is kept: a browser's line ends are no change. Raises CaptionEditError for one that cannot be."""
    text = _plain(text)
    if not text.strip():
        raise CaptionEditError("A caption may not be empty: write one, or skip it.")
    if len(text.encode()) > MOST_CAPTION_BYTES:
        raise CaptionEditError(
            f"The caption has {len(text.encode()):,} bytes; at most {MOST_CAPTION_BYTES:,} are kept: shorten it."
        )
    return original if text == _one_line_end(original) else text


def listed(stems: Sequence[str]) -> str:
    """Stems for a sentence, the first few by name."""
    rest = len(stems) - _SHOWN
    return ", ".join(stems[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _require(version: CaptionVersion, stem: str) -> State:
    state = state_of(version, stem)
    if state is None:
        raise CaptionEditError(f"{version} has no caption {stem!r}.")
    return state


def _refuse_stale(state: State, number: int) -> None:
    if state.number != number:
        raise StaleEditError(
            f"{state.by or 'Somebody'} changed {state.stem} meanwhile, so nothing was saved. Your text is still in the "
            "editor: look at what stands now, then save again to put yours in its place."
        )


def _facts(state: State, change: Change) -> dict[str, str]:
    """What stands after the change."""
    text = clean_text(change.after, state.original)
    corrections = state.corrections if change.corrections is None else _plain(change.corrections)
    return {"text": text, "corrections": corrections, "status": change.status or _status_of(state, text)}


def _standing_facts(state: State) -> dict[str, str]:
    return {"text": state.text, "corrections": state.corrections, "status": state.status}


def _status_of(state: State, text: str) -> str:
    if text != state.original:
        return Status.EDITED.value
    return Status.PENDING.value if state.status == Status.EDITED else state.status


def _plain(text: str) -> str:
    if "\0" in text:
        raise CaptionEditError("There is a zero byte in the text: type it again without.")
    return _one_line_end(text)


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n")


def _found(version: CaptionVersion, texts: Sequence[tuple[str, str]]) -> list[list[dict[str, Any]]]:
    """What the check finds in each text: stem and text."""
    captions = Caption.objects.filter(version=version, stem__in=[stem for stem, _ in texts]).select_related("image")
    images = {caption.stem: caption.image for caption in captions}
    known = caption_findings.known_findings(version)
    found = caption_findings.find_in_many(known, [(stem, text, images[stem]) for stem, text in texts])
    return [caption_findings.to_json(each) for each in found]


def _next(version: CaptionVersion, state: State, by: User, **facts: Any) -> CaptionEdit:
    values = {"status": state.status, "text": state.text, "corrections": state.corrections} | facts
    return CaptionEdit(version=version, stem=state.stem, number=state.number + 1, by=by, **values)


def _append(version: CaptionVersion, rows: Sequence[CaptionEdit]) -> None:
    """The database refuses a second step of the same number: of two people who save at once one is told."""
    try:
        with transaction.atomic():
            CaptionEdit.objects.bulk_create(rows)
    except IntegrityError as error:
        raise StaleEditError(
            f"Somebody else changed captions of {version} at the same moment, so nothing was saved: look again."
        ) from error


def _histories(version: CaptionVersion, stems: Collection[str]) -> Mapping[str, dict[int, CaptionEdit]]:
    found: dict[str, dict[int, CaptionEdit]] = defaultdict(dict)
    for edit in CaptionEdit.objects.filter(version=version, stem__in=stems):
        found[edit.stem][edit.number] = edit
    return found


def _standing(history: Mapping[int, CaptionEdit], number: int) -> int:
    """The step whose text a step shows: itself, or the one it went back to."""
    edit = history.get(number)
    return number if edit is None or edit.restores is None else edit.restores


def _before(history: Mapping[int, CaptionEdit], number: int) -> int | None:
    """The step to go back to from `number`, 0 for the version's own caption; None when there is nothing to undo."""
    now = _standing(history, number)
    return _standing(history, now - 1) if now else None


def _back_to(
    version: CaptionVersion, state: State, history: Mapping[int, CaptionEdit], target: int, by: User
) -> CaptionEdit:
    old = history.get(target)
    facts: dict[str, Any] = {"text": state.original, "status": Status.PENDING.value, "corrections": "", "findings": []}
    if old is not None:
        facts = {"text": old.text, "status": old.status, "corrections": old.corrections, "findings": old.findings}
    return _next(version, state, by, restores=target, **facts)
