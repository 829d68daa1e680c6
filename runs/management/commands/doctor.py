from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management import BaseCommand, CommandParser, call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from punklab.adoption import exists, move_sequence_forward
from punklab.diffusion.base import BaseError, BaseModel, fetch
from punklab.diffusion.doctor import DeviceTrial, examine
from punklab.files import write_whole
from punklab.supabase import LAB_TABLES
from runs.bases import base_for

OLDEST_POSTGRESQL = 15
LEAST_FREE = 2 * 1024**3  # bytes: a run of SD 1.5 with its state and pictures


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `state` is ok, mended or fault, `text` a sentence for people."""

    subject: str
    state: str
    text: str


class Command(BaseCommand):
    help = "Say what this machine can do, and mend what can be mended: database, storage, base model, queue, devices."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=300, help="time limit for drawing on one device")

    def handle(self, *_: Any, seconds: float, **__: Any) -> str:
        faults = 0
        for finding in self._look(seconds):
            style = {"ok": self.style.SUCCESS, "mended": self.style.WARNING, "fault": self.style.ERROR}[finding.state]
            self.stdout.write(f"{finding.subject:<11} {style(finding.state):<7} {finding.text}")
            faults += finding.state == "fault"
        if faults:
            self.stdout.write(self.style.ERROR(f"{faults} to be mended by you; each line says how."))
            raise SystemExit(1)
        return "This machine is fit for the lab."

    def _look(self, seconds: float) -> Iterator[Finding]:
        yield from database()
        yield storage()
        yield from queue()
        base = base_model()
        yield base[0]
        if base[1] is not None:
            yield from devices(base[1], seconds)


def database() -> Iterator[Finding]:
    """The server, its version, pending migrations, counters behind their rows."""
    try:
        connection.ensure_connection()
    except OperationalError as error:
        yield Finding("database", "fault", f"{str(error).strip().splitlines()[0]} Check DATABASE_URL and the network.")
        return
    major = connection.pg_version // 10_000  # type: ignore[attr-defined]  # PostgreSQL's wrapper
    kind = "given by DATABASE_URL" if settings.DATABASE_URL else "embedded"
    if major < OLDEST_POSTGRESQL:
        yield Finding("database", "fault", f"PostgreSQL {major} is too old: {OLDEST_POSTGRESQL} or newer is needed.")
        return
    yield Finding("database", "ok", f"PostgreSQL {major}, {kind}.")
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending and settings.DATABASE_URL:
        yield Finding("database", "fault", f"{len(pending)} migrations are pending: run `manage.py migrate`.")
        return
    if pending:
        call_command("migrate", verbosity=0)
        yield Finding("database", "mended", f"{len(pending)} migrations were pending and have been applied.")
    with connection.cursor() as cursor:
        behind = [
            table for table in sorted(LAB_TABLES) if exists(cursor, table) and move_sequence_forward(cursor, table)
        ]
    if behind:
        yield Finding("database", "mended", f"The id counters of {', '.join(behind)} were behind their rows.")


def storage() -> Finding:
    """The folder for checkpoints and pictures: there, writable, with room."""
    folder = Path(settings.STORAGE_DIR)
    made = not folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".doctor"
        probe.write_bytes(b"punklab")
        probe.unlink()
    except OSError as error:
        return Finding(
            "storage", "fault", f"{folder} cannot be written ({error.strerror}): set STORAGE_DIR or its rights."
        )
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return Finding(
            "storage", "fault", f"{folder}: {free / 1e9:.1f} GB free; a run of SD 1.5 needs 2 GB. Make room."
        )
    return Finding(
        "storage", "mended" if made else "ok", f"{folder}{' was made' if made else ''}: {free / 1e9:.0f} GB free."
    )


def queue() -> Iterator[Finding]:
    """The broker, where it is not the database."""
    if not settings.REDIS_URL:
        return
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5).ping()
    except (redis.RedisError, OSError, ValueError) as error:
        yield Finding("queue", "fault", f"Redis does not answer ({error}): check REDIS_URL, or leave it empty.")
    else:
        yield Finding("queue", "ok", "Redis answers.")


def base_model() -> tuple[Finding, BaseModel | None]:
    """The base model of the settings, fetched from the hub where it is missing; None when it cannot be had."""
    try:
        base = base_for()
        missing = base.folder is None
        base = fetch(base)
        fingerprint = base.fingerprint
    except BaseError as error:
        return Finding("base model", "fault", str(error)), None
    state, how = ("mended", "was fetched") if missing else ("ok", "is here")
    return Finding("base model", state, f"{base.name} {how}, fingerprint {fingerprint[:12]}."), base


def devices(base: BaseModel, seconds: float) -> Iterator[Finding]:
    """Draw on each device under a time limit; the best that works is remembered for DEVICE=auto."""
    found = examine(base, seconds)
    usable = found.best is not None
    for trial in found.trials:
        yield _device(trial, usable)
    if found.best is not None:
        write_whole(Path(settings.STATE_DIR) / "device", found.best.name.encode())
        yield Finding("device", "ok", f"DEVICE=auto draws on {found.best.name}.")


def _device(trial: DeviceTrial, another_works: bool) -> Finding:
    name = f"{trial.device.name} ({trial.device.label})"
    if trial.works:
        return Finding("device", "ok", f"{name} draws a picture of 4 steps in {trial.seconds:.2f} s.")
    state = "mended" if another_works else "fault"
    return Finding("device", state, f"{name} is left out: {trial.fault}")
