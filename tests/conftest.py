from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from punklab.database import server

SHARED = Path(__file__).resolve().parents[2] / "shared"


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


@pytest.fixture
def scratch(settings) -> Iterator[str]:
    """The URL of an empty database of its own on the embedded server, dropped afterwards."""
    if settings.DATABASE_URL:
        pytest.skip("this test makes a database of its own, so it needs the embedded server")
    host = server.ensure(Path(settings.STATE_DIR) / "postgres")
    name = f"scratch_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host=str(host), user="postgres", dbname="template1", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://postgres@/{name}?host={host}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
