from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from punklab.database import server

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test comes first: with several workers the others go on beside it."""
    items.sort(key=lambda item: "slowest" not in item.keywords)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The lab's real material beside the checkout; the project passes without it."""
    if not (SHARED / "punks" / "images").is_dir():
        pytest.skip("the lab's real material (../shared) is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Every test has its own STORAGE_DIR."""
    folder = tmp_path / "files"
    folder.mkdir()
    settings.STORAGE_DIR = folder
    return folder


@contextmanager
def _database(template: str = "template1") -> Iterator[str]:
    """The name of a database of its own on the embedded server, dropped afterwards."""
    if settings.DATABASE_URL:
        pytest.skip("this test makes a database of its own, so it needs the embedded server")
    name = f"scratch_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host=_host(), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _host() -> str:
    return str(server.ensure(Path(settings.STATE_DIR) / "postgres"))


def _url(name: str) -> str:
    return f"postgresql://postgres@/{name}?host={_host()}"


@pytest.fixture
def scratch() -> Iterator[str]:
    """The URL of an empty database of its own."""
    with _database() as name:
        yield _url(name)


@pytest.fixture(scope="session")
def _migrated() -> Iterator[str]:
    with _database() as name:
        env = os.environ | {"DATABASE_URL": _url(name)}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, check=True)
        yield name


@pytest.fixture
def migrated(_migrated: str) -> Iterator[str]:
    """The URL of a database of its own as `migrate` leaves an empty one."""
    with _database(template=_migrated) as name:
        yield _url(name)
