"""The lab's database as `../shared/legacy/README.md` describes it, drift included, for tests that adopt it."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENTED = ("caption_versions", "training_runs", "epoch_results", "test_prompts", "prompt_test_results")
LATER_COLUMNS = {
    "training_runs": {"all_parameters"},
    "epoch_results": {"quantitative_metrics", "diagnosed_issues", "recommendations"},
}
DROPPED = {"training_runs_status_check", "training_runs_overall_verdict_check"}


def columns(readme: str, table: str) -> list[tuple[str, str, bool, str]]:
    """(name, type, nullable, default) of each documented column."""
    section = readme.split(f"## {table}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| ([^|]+?) \| (yes|no) \| ?([^|]*?) ?\|$", section, re.MULTILINE)
    return [(name, kind, nullable == "yes", default) for name, kind, nullable, default in rows if name != "column"]


def constraints(readme: str, table: str) -> list[tuple[str, str]]:
    section = readme.split(f"## {table}\n")[1].split("\n## ")[0]
    return re.findall(r"- `(\w+)`: (.*)", section)


def ddl(readme: str, *, drifted: bool) -> str:
    """The SQL of the five tables, a view and the trigger; drifted: without later columns and some constraints."""
    out = []
    for table in DOCUMENTED:
        lines = []
        for name, kind, nullable, default in columns(readme, table):
            if drifted and name in LATER_COLUMNS.get(table, ()):
                continue
            kind = "serial" if default == "serial" else kind
            lines.append(
                f"{name} {kind}{'' if nullable else ' NOT NULL'}"
                f"{f' DEFAULT {default}' if default and default != 'serial' else ''}"
            )
        if drifted and table == "training_runs":
            lines += ["caption_version_details text", "caption_update_date timestamp"]
        lines += [
            f"CONSTRAINT {name} {text}"
            for name, text in constraints(readme, table)
            if not (drifted and name in DROPPED)
        ]
        out.append(f"CREATE TABLE {table} ({', '.join(lines)});")
    out.append(
        "CREATE VIEW production_ready_epochs AS SELECT r.run_name, e.epoch_number FROM epoch_results e"
        " JOIN training_runs r ON r.id = e.training_run_id WHERE e.production_ready;"
    )
    out.append(
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE UPDATE ON training_runs FOR EACH ROW EXECUTE FUNCTION touch();"
    )
    return "\n".join(out)


def copy_rows(connection, folder: Path) -> None:
    """Load the real rows as `COPY` wrote them."""
    for table in ("caption_versions", "training_runs", "epoch_results"):
        text = (folder / f"{table}.csv").read_text()
        names = text.splitlines()[0]
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN CSV HEADER") as copy:
            copy.write(text)
