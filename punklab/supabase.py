"""Keep our tables out of Supabase's REST interface, which serves the schema `public` to two database roles.

Where the roles `anon` and `authenticated` exist, every relation that we created gets row level security without a
policy (so those roles see no row) and loses their grants. The lab's own tables keep what they have.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from punklab.adoption import CREATED_BY_US

ROLES = ("anon", "authenticated")
LAB_TABLES = frozenset({"caption_versions", "training_runs", "epoch_results", "test_prompts", "prompt_test_results"})


def secure() -> list[str]:
    """Shut the two roles out of every relation of ours; return the names of those that had been open."""
    with connection.cursor() as cursor:
        found = _exposed(cursor)
        for name, is_table in found:
            quoted = connection.ops.quote_name(name)
            if is_table:
                cursor.execute(f"ALTER TABLE {quoted} ENABLE ROW LEVEL SECURITY")
            for role in _roles(cursor):
                cursor.execute(f"REVOKE ALL ON {quoted} FROM {role}")
        return [name for name, _ in found]


def exposed() -> list[str]:
    """Return the names of our relations that a Supabase role could reach; empty where the roles do not exist."""
    with connection.cursor() as cursor:
        return [name for name, _ in _exposed(cursor)]


def _roles(cursor: Any) -> list[str]:
    cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
    return [row[0] for row in cursor.fetchall()]


def _exposed(cursor: Any) -> list[tuple[str, bool]]:
    roles = _roles(cursor)
    if not roles:
        return []
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed}
    ours = (tables | {MigrationRecorder.Migration._meta.db_table}) - LAB_TABLES
    cursor.execute(
        """
        WITH ours AS (
            SELECT c.oid, c.relname, c.relkind, c.relrowsecurity FROM pg_class c
            WHERE c.relkind IN ('r', 'v') AND pg_table_is_visible(c.oid)
              AND (c.relname = ANY(%(tables)s) OR obj_description(c.oid, 'pg_class') = %(mark)s)
        ), counters AS (
            SELECT s.oid, s.relname, s.relkind, true AS relrowsecurity FROM pg_class s
            JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') JOIN ours ON ours.oid = d.refobjid
            WHERE s.relkind = 'S'
        )
        SELECT relname, relkind = 'r' FROM (SELECT * FROM ours UNION SELECT * FROM counters) AS relations
        WHERE (relkind = 'r' AND NOT relrowsecurity) OR EXISTS (
            SELECT 1 FROM unnest(%(roles)s::text[]) AS role WHERE CASE WHEN relkind = 'S'
                THEN has_sequence_privilege(role, oid, 'USAGE, SELECT, UPDATE')
                ELSE has_table_privilege(role, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END
        ) ORDER BY relname
        """,
        {"tables": sorted(ours), "mark": CREATED_BY_US, "roles": roles},
    )
    return list(cursor.fetchall())
