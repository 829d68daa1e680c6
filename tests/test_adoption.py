"""`migrate` on an empty database, on the lab's, on one that has drifted, and where Supabase's roles exist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests import lab_database

ROOT = Path(__file__).resolve().parents[1]


def manage(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def migrate(url: str) -> str:
    done = manage(url, "migrate")
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything(connection, table: str) -> list[tuple]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def shape(connection, table: str) -> set[tuple]:
    return set(
        connection.execute(
            "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_name = %s",
            [table],
        ).fetchall()
    )


def test_an_empty_database_gets_the_documented_tables_views_and_trigger(migrated, shared):
    readme = (shared / "legacy" / "README.md").read_text()
    with psycopg.connect(migrated) as connection:
        for table in lab_database.DOCUMENTED:
            ours = {name: (kind, null == "YES") for name, kind, null, _ in shape(connection, table)}
            wanted = {
                name: ("ARRAY" if kind.endswith("[]") else kind, nullable)
                for name, kind, nullable, _ in lab_database.columns(readme, table)
            }
            assert ours == wanted
            names = connection.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype <> 'n'", [table]
            ).fetchall()
            assert {name for (name,) in names} == {name for name, _ in lab_database.constraints(readme, table)}
        views: dict[str, list[str]] = dict(
            connection.execute(
                "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)"
                " FROM information_schema.columns WHERE table_name IN (SELECT viewname FROM pg_views"
                " WHERE schemaname = 'public') GROUP BY table_name"
            ).fetchall()
        )
        for line in readme.split("## Views\n")[1].split("\n## ")[0].splitlines():
            if "`: " in line:
                name, listed = line[3:].split("`: ")
                assert views[name] == listed.split(", ")
        assert connection.execute("SELECT count(*) FROM test_prompts").fetchone() == (17,), (
            "the lab's six and eleven of ours"
        )
        connection.execute(
            "INSERT INTO training_runs (run_name, run_date, status, base_model, model_type, updated_at)"
            " VALUES ('a', now(), 'in_progress', 'b', 'SD15', '2020-01-01')"
        )
        connection.execute("UPDATE training_runs SET notes = 'x'")
        touched = connection.execute("SELECT updated_at > '2021-01-01' FROM training_runs").fetchone()
        assert touched == (True,)


@pytest.mark.parametrize("drifted", [False, True], ids=["as documented", "drifted"])
def test_the_labs_database_is_adopted_without_a_changed_value(scratch, shared, drifted):
    readme = (shared / "legacy" / "README.md").read_text()
    with psycopg.connect(scratch) as connection:
        connection.execute(lab_database.ddl(readme, drifted=drifted))
        lab_database.copy_rows(connection, shared / "legacy")
        if drifted:
            connection.execute("UPDATE training_runs SET status = 'abandoned', overall_verdict = 'meh' WHERE id = 2")
        before = {table: everything(connection, table) for table in lab_database.DOCUMENTED}
        shapes = {table: shape(connection, table) for table in lab_database.DOCUMENTED}
    migrate(scratch)
    with psycopg.connect(scratch) as connection:
        for table in lab_database.DOCUMENTED:
            added = len(shape(connection, table)) - len(shapes[table])
            assert shapes[table] <= shape(connection, table)
            assert added == (len(lab_database.LATER_COLUMNS.get(table, ())) if drifted else 0)
            rows = everything(connection, table)
            assert [row[: len(row) - added] for row in rows] == before[table]
        assert connection.execute("SELECT count(*) FROM production_ready_epochs").fetchone() == (1,)
        # COPY leaves the sequence at its start; a new row must not meet an old number
        fresh = connection.execute(
            "INSERT INTO training_runs (run_name, run_date, status, base_model, model_type)"
            " VALUES ('next', now(), 'in_progress', 'b', 'SD15') RETURNING id"
        ).fetchone()
        assert fresh == (4,)
    assert "No migrations to apply" in migrate(scratch)
    saved = manage(
        scratch,
        "shell",
        "-c",
        "from runs.models import TrainingRun\n"
        "run = TrainingRun.objects.get(pk=2); run.notes = 'seen'; run.full_clean(); run.save()\n"
        "print(run.run_date.isoformat(), run.status)",
    )
    assert "2025-11-10T01:54:00+00:00" in saved.stdout, saved.stderr
    assert ("abandoned" in saved.stdout) == drifted


def test_supabases_roles_reach_none_of_our_tables_and_keep_hers(scratch, shared):
    readme = (shared / "legacy" / "README.md").read_text()
    with psycopg.connect(scratch) as connection:
        for role in ("anon", "authenticated"):
            connection.execute(
                f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
            connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
            connection.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {role}")
            connection.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO {role}")
        connection.execute(lab_database.ddl(readme, drifted=False))
        lab_database.copy_rows(connection, shared / "legacy")
    try:
        migrate(scratch)
        assert manage(scratch, "check", "--database", "default").returncode == 0
        with psycopg.connect(scratch, autocommit=True) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            ]
            assert {"auth_user", "django_migrations", "punklab_release", "django_q_ormq"} <= set(tables)
            for role in ("anon", "authenticated"):
                connection.execute(f"SET ROLE {role}")
                for table in tables:
                    if table in lab_database.DOCUMENTED:
                        connection.execute(f"SELECT count(*) FROM {table}")
                    else:
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            connection.execute(f"SELECT * FROM {table}")
                assert connection.execute("SELECT count(*) FROM training_runs").fetchone() == (3,)
                connection.execute("RESET ROLE")
            connection.execute("GRANT SELECT ON auth_user TO anon")
        found = manage(scratch, "check", "--database", "default")
        assert found.returncode == 1
        assert "auth_user" in found.stderr
    finally:
        with psycopg.connect(scratch, autocommit=True) as connection:
            for role in ("anon", "authenticated"):
                connection.execute(f"DROP OWNED BY {role}")
                connection.execute(f"DROP ROLE {role}")
