"""Migration operations that adopt the lab's existing tables, or create them where there are none.

A table that exists keeps its rows, values, views and trigger; it only gains documented columns that it lacks. One that
does not is created as documented and marked as ours by a comment, which `punklab.supabase` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

CREATED_BY_US = "created by punklab"

Column = tuple[str, str]


def adopt_table(table: str, columns: Sequence[Column], constraints: Sequence[str]) -> migrations.RunPython:
    """Return the operation that makes `table` have `columns` (name, SQL definition).

    `constraints` are SQL table constraints, added only to a table that the operation creates.
    """

    def forwards(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        with editor.connection.cursor() as cursor:
            if not exists(cursor, table):
                lines = [f"{name} {definition}" for name, definition in columns] + list(constraints)
                cursor.execute(f"CREATE TABLE {table} ({', '.join(lines)})")
                cursor.execute(f"COMMENT ON TABLE {table} IS '{CREATED_BY_US}'")
                return
            for name, definition in columns:
                if "NOT NULL" not in definition and "PRIMARY KEY" not in definition:
                    cursor.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {definition}")
            move_sequence_forward(cursor, table)

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def create_views(views: Sequence[Column]) -> migrations.RunPython:
    """Return the operation that creates each view (name, query) which is absent; one that exists is left alone."""

    def forwards(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        with editor.connection.cursor() as cursor:
            for name, query in views:
                if not exists(cursor, name):
                    cursor.execute(f"CREATE VIEW {name} WITH (security_invoker = true) AS {query}")
                    cursor.execute(f"COMMENT ON VIEW {name} IS '{CREATED_BY_US}'")

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def create_updated_at_trigger(table: str) -> migrations.RunPython:
    """Return the operation that sets `updated_at` on every update of a `table` which we created."""

    def forwards(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        with editor.connection.cursor() as cursor:
            if not is_ours(cursor, table):
                return
            cursor.execute(
                f"""
                CREATE OR REPLACE FUNCTION punklab_touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.updated_at = now() AT TIME ZONE 'UTC'; RETURN NEW; END $$;
                CREATE TRIGGER {table}_updated_at BEFORE UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION punklab_touch_updated_at()
                """
            )

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def exists(cursor: Any, relation: str) -> bool:
    """Whether a table or view of that name is on the search path."""
    cursor.execute("SELECT to_regclass(%s)", [relation])
    return cursor.fetchone()[0] is not None


def is_ours(cursor: Any, relation: str) -> bool:
    """Whether we created that table or view, and did not find it."""
    cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", [relation])
    return bool(cursor.fetchone()[0] == CREATED_BY_US)


def move_sequence_forward(cursor: Any, table: str) -> bool:
    """Make the next `id` of `table` larger than every one in it; True when it had to be moved, never back."""
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
    sequence = cursor.fetchone()[0]
    if sequence is None:
        return False
    cursor.execute(  # the names come from the code and from PostgreSQL, never from a person
        f"""
        SELECT setval(%s, highest) FROM (SELECT max(id) AS highest FROM {table}) AS rows, {sequence} AS counter
        WHERE highest > counter.last_value OR (highest = counter.last_value AND NOT counter.is_called)
        """,  # noqa: S608
        [sequence],
    )
    return cursor.fetchone() is not None
