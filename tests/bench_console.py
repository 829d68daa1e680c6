"""The console's lists: at most 12 queries each, as many at 10 rows as at 10,000. Leaves nothing in the database."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "punklab.settings")
FEW, MANY = 10, 10_000


def main() -> int:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)
    django.setup()
    from django.db import connection, transaction  # noqa: PLC0415 - needs the settings

    from tests import console_rows  # noqa: PLC0415

    with transaction.atomic():
        client = console_rows.publisher()
        console_rows.fill(FEW)
        few = {name: console_rows.count_queries(client, address)[0] for name, address in console_rows.lists()}
        console_rows.fill(MANY - FEW, start=FEW)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        missed = 0
        for name, address in console_rows.lists():
            began = time.perf_counter()
            many, _ = console_rows.count_queries(client, address)
            seconds = time.perf_counter() - began
            missed += many != few[name] or many > console_rows.most_queries(name)
            sys.stdout.write(f"{name}: {few[name]} queries at {FEW} rows, {many} at {MANY:,} ({seconds:.2f} s)\n")
        transaction.set_rollback(True)
    sys.stdout.write(
        f"bound: the same number at both, {console_rows.MOST_QUERIES} at most, {console_rows.MOST_ON_FIRST_PAGE} on the first page\n"
    )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
