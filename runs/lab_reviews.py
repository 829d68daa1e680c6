"""The lab's own table `caption_reviews`, where the database has it: read into the work on a version, written back.

The table has no version, so a version's captions are matched by file name. Where it is absent nothing is created.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from punklab.adoption import exists
from runs.caption_edits import CaptionEditError, Change, apply, clean_text, listed
from runs.caption_models import CaptionEdit, LabReview
from runs.caption_states import State, states
from runs.lab_table import READ, TABLE, WRITTEN, Row, columns_of, read_rows, stem_of, update_rows
from runs.models import CaptionVersion


class LabReviewError(ValueError):
    """The lab's table is not there, or would not take what was written; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What came of reading or writing the lab's rows: how many went over, and those that did not, by file name."""

    done: int
    same: int
    unmatched: Sequence[str] = ()
    ambiguous: Sequence[str] = ()
    conflicting: Sequence[str] = ()
    refused: Sequence[str] = ()

    def sentences(self, verb: str) -> list[str]:
        """What happened, for people."""
        said = [f"{self.done} row{'s' if self.done != 1 else ''} {verb}, {self.same} the same already."]
        for names, words in (
            (self.unmatched, "have no partner on the other side"),
            (self.ambiguous, "share a caption with another row, so it is not clear which counts"),
            (
                self.conflicting,
                "were changed there and here since they were last read, and were left alone: open the caption and choose",
            ),
            (self.refused, "were refused"),
        ):
            if names:
                said.append(f"{len(names)} {words}: {listed(names)}.")
        return said


def is_there() -> bool:
    """Whether this database has the lab's table."""
    with connection.cursor() as cursor:
        return exists(cursor, TABLE)


def row_for(stem: str) -> Row | None:
    """The lab's row whose file name means that caption; None without one, or when it is not clear which.

    Raises LabReviewError when the table cannot be read.
    """
    with _told(), connection.cursor() as cursor:
        columns = columns_of(cursor)
        if "filename" not in columns:
            return None
        rows = [row for row in read_rows(cursor, columns, like=stem) if stem_of(row["filename"]) == stem]
    return rows[0] if len(rows) == 1 else None


def bring_in(version: CaptionVersion, *, by: User) -> Exchange:
    """Take over status, corrections and final caption of each row that is not known as it stands now, as one batch.

    A caption that was edited here since its row was last read is left alone and named when the row changed as well:
    neither side wins silently. A fixed number of queries. Raises LabReviewError without the table.
    """
    with _told():
        with connection.cursor() as cursor:
            columns = _require(cursor)
            rows = read_rows(cursor, columns)
        by_stem, unmatched, ambiguous = _matched(version, rows)
        bound = {each.stem: each.seen for each in LabReview.objects.filter(version=version)}
        same: list[str] = []
        conflicts: list[str] = []
        refused: list[str] = []
        changes: list[Change] = []
        for state in states(version, by_stem):
            row = by_stem[state.stem]
            written, ours = _written(row, columns), _ours(state, row, columns)
            if _says_nothing(row) or ours == written or (bound.get(state.stem) == written and not state.is_untouched):
                same.append(state.stem)
            elif not state.is_untouched and bound.get(state.stem) != ours:
                conflicts.append(str(row["filename"]))
            else:
                try:
                    changes.append(_theirs(state, row))
                except CaptionEditError as error:
                    refused.append(f"{row['filename']} ({error})")
        applied = apply(version, changes, f"imported from {TABLE}", by=by)
        taken = [change.stem for change in changes if change.stem not in applied.left]
        agreeing = [stem for stem in same if bound.get(stem) != _written(by_stem[stem], columns)]
        _remember(version, [by_stem[stem] for stem in [*taken, *agreeing]], columns)
    conflicts += [str(by_stem[stem]["filename"]) for stem in applied.left]
    return Exchange(
        done=len(taken),
        same=len(same),
        unmatched=unmatched,
        ambiguous=ambiguous,
        conflicting=conflicts,
        refused=refused,
    )


def write_back(version: CaptionVersion) -> Exchange:
    """Write status, corrections and final caption of each caption that was worked on into its row of the lab's table.

    A row that was changed there since it was last read here is left alone and named. One UPDATE however many; columns
    that the table lacks are left out. Raises LabReviewError without the table, or when it refuses a value.
    """
    worked = [state for state in states(version) if not state.is_untouched]
    fresh: list[tuple[State, Row]] = []
    same: list[Row] = []
    conflicts: list[str] = []
    with _told(), connection.cursor() as cursor:
        columns = _require(cursor)
        by_stem, _, ambiguous = _matched(version, read_rows(cursor, columns, lock=True))
        bound = {each.stem: each.seen for each in LabReview.objects.filter(version=version)}
        for state in worked:
            row = by_stem.get(state.stem)
            if row is None:
                continue
            if _ours(state, row, columns) == _written(row, columns):
                same.append(row)
            elif bound.get(state.stem) == _written(row, columns) or _says_nothing(row):
                fresh.append((state, row))
            else:
                conflicts.append(str(row["filename"]))
        update_rows(cursor, columns, [(row, _ours(state, row, columns)) for state, row in fresh])
        _remember(version, [*same, *(row | _ours(state, row, columns) for state, row in fresh)], columns)
    missing = sorted(state.stem for state in worked if state.stem not in by_stem)
    return Exchange(done=len(fresh), same=len(same), unmatched=missing, ambiguous=ambiguous, conflicting=conflicts)


def take_theirs(version: CaptionVersion, state: State, shown: str, *, by: User) -> None:
    """Put what the lab's row says in the place of what stands here. `shown` is its `digest` as the person saw it."""
    with _told():
        row = _as_shown(state, shown)
        if apply(version, [_theirs(state, row)], f"{state.stem} taken from {TABLE}", by=by).left:
            raise CaptionEditError(f"{state.stem} was changed here meanwhile: look again.")
        _remember(version, [row], _known_columns())


def keep_ours(version: CaptionVersion, state: State, shown: str) -> None:
    """Let what stands here go over the lab's row at the next writing back, although it says something else."""
    with _told():
        _remember(version, [_as_shown(state, shown)], _known_columns())


def digest(row: Row) -> str:
    """What a page shows of a row, so that an answer to it can be told from one to an older row."""
    return sha256(json.dumps([row[name] for name in READ]).encode()).hexdigest()


@contextmanager
def _told() -> Iterator[None]:
    """A transaction in which the database's refusals become sentences."""
    try:
        with transaction.atomic():
            yield
    except DatabaseError as error:
        words = str(error).strip().splitlines()[0].rstrip(".")
        raise LabReviewError(f"The database refused this, so nothing was changed in {TABLE}: {words}.") from error


def _as_shown(state: State, shown: str) -> Row:
    row = row_for(state.stem)
    if row is None or digest(row) != shown:
        raise LabReviewError(f"The lab's row of {state.stem} was changed since this page was shown: look again.")
    return row


def _known_columns() -> Mapping[str, str]:
    with connection.cursor() as cursor:
        return _require(cursor)


def _theirs(state: State, row: Row) -> Change:
    """What the row makes of the caption. Raises CaptionEditError for a text that cannot be kept."""
    return Change(
        stem=state.stem,
        number=state.number,
        before=state.text,
        after=clean_text(row["final_caption"] or state.original, state.original),
        status=row["status"] or CaptionEdit.Status.PENDING.value,
        corrections=row["user_corrections"] or "",
    )


def _ours(state: State, row: Row, columns: Iterable[str]) -> Row:
    """What the row would say if it said what stands here; where there is nothing to say it keeps its NULL."""
    final = state.text if state.status in CaptionEdit.TAKEN or state.is_changed else ""
    said = {"status": state.status, "user_corrections": state.corrections, "final_caption": final}
    return {name: said[name] or (None if row[name] is None else "") for name in WRITTEN if name in columns}


def _written(row: Row, columns: Iterable[str]) -> Row:
    return {name: row[name] for name in WRITTEN if name in columns}


def _says_nothing(row: Row) -> bool:
    nothing = row["status"] in (None, "", CaptionEdit.Status.PENDING)
    return nothing and not row["final_caption"] and not row["user_corrections"]


def _matched(version: CaptionVersion, rows: Sequence[Row]) -> tuple[dict[str, Row], list[str], list[str]]:
    """Rows by stem; the names of those that match no caption; and of those that share one."""
    stems = set(version.captions.values_list("stem", flat=True))
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[stem_of(row["filename"])].append(row)
    unmatched = [str(row["filename"]) for stem, several in groups.items() if stem not in stems for row in several]
    ambiguous = [
        str(row["filename"])
        for stem, several in groups.items()
        if stem in stems and len(several) > 1
        for row in several
    ]
    alone = {stem: several[0] for stem, several in groups.items() if stem in stems and len(several) == 1}
    return alone, sorted(unmatched), sorted(ambiguous)


def _require(cursor: Any) -> Mapping[str, str]:
    columns = columns_of(cursor)
    if "filename" not in columns:
        raise LabReviewError(
            f"This database has no table {TABLE} with a column filename: there is nothing to exchange."
        )
    return columns


def _remember(version: CaptionVersion, rows: Sequence[Row], columns: Iterable[str]) -> None:
    LabReview.objects.bulk_create(
        [
            LabReview(
                version=version,
                stem=stem_of(row["filename"]),
                filename=str(row["filename"]),
                seen=_written(row, columns),
                seen_at=timezone.now(),
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["version", "stem"],
        update_fields=["filename", "seen", "seen_at"],
    )
