"""The lab's table `caption_reviews` as SQL: which of its columns there are, its rows, and an update of ours in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

TABLE = "caption_reviews"
# What is ours to write; `filename`, `current_caption` and `ai_comprehensive_caption` are read only.
WRITTEN = ("status", "user_corrections", "final_caption")
READ = ("filename", "current_caption", "ai_comprehensive_caption", *WRITTEN)

Row = dict[str, str | None]


def stem_of(filename: str | None) -> str:
    """The file's name without folder and without .png, .txt and the like."""
    name = PurePosixPath((filename or "").replace("\\", "/")).name
    base, dot, ending = name.rpartition(".")
    return base if dot and ending.lower() in ("png", "txt", "jpg", "jpeg", "webp") else name


def columns_of(cursor: Any) -> Mapping[str, str]:
    """The table's columns among those we know, with their types; empty where it is absent."""
    cursor.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attname = ANY(%s)
        """,
        [TABLE, list(READ)],
    )
    return dict(cursor.fetchall())


def read_rows(cursor: Any, columns: Mapping[str, str], *, like: str = "", lock: bool = False) -> list[Row]:
    """All rows, or those with `like` in the file name; None for columns that the table lacks."""
    # The names come from READ and from PostgreSQL, never from a person.
    wanted = ", ".join(f"{name}::text" if name in columns else f"NULL AS {name}" for name in READ)
    where = "WHERE strpos(filename::text, %s) > 0" if like else ""
    cursor.execute(
        f"SELECT {wanted} FROM {TABLE} {where} ORDER BY filename {'FOR UPDATE' if lock else ''}",  # noqa: S608
        [like] if like else [],
    )
    return [dict(zip(READ, row, strict=True)) for row in cursor.fetchall()]


def update_rows(cursor: Any, columns: Mapping[str, str], changes: Sequence[tuple[Row, Row]]) -> None:
    """Write new values into rows, in one statement: each row as it was read, and what is ours to write of it."""
    names = [name for name in WRITTEN if name in columns]
    if not names or not changes:
        return
    values = [[row["filename"] for row, _ in changes]]
    values += [[new[name] for _, new in changes] for name in names]
    sets = ", ".join(f"{name} = given.{name}::{columns[name]}" for name in names)
    arrays = ", ".join(["%s::text[]"] * len(values))
    cursor.execute(
        f"UPDATE {TABLE} SET {sets} FROM unnest({arrays}) AS given (filename, {', '.join(names)}) "  # noqa: S608
        f"WHERE {TABLE}.filename::text = given.filename",
        values,
    )
