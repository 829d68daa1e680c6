"""What the environment decides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHOW = "import json; from punklab import settings as s; print(json.dumps(s.DATABASES['default'] | {'q': s.Q_CLUSTER}))"


def settings_with(**env: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("url", "host", "port", "cursors_off"),
    [
        ("postgresql://u:p%40ss@db.example.org:5432/lab", "db.example.org", "5432", False),
        ("postgresql://u:p%40ss@pooler.example.org:6543/lab", "pooler.example.org", "6543", True),
        ("postgresql://u@/lab?host=/run/postgresql", "/run/postgresql", "", False),
        ("postgresql://u:p%40ss@%2Frun%2Fpostgresql/lab", "/run/postgresql", "", False),
    ],
)
def test_a_database_url_may_name_a_server_a_pooler_or_a_socket(url, host, port, cursors_off):
    found = settings_with(DATABASE_URL=url)
    assert (found["HOST"], str(found["PORT"]), found["NAME"]) == (host, port, "lab")
    assert found["DISABLE_SERVER_SIDE_CURSORS"] is cursors_off
    if "p%40ss" in url:
        assert found["PASSWORD"] == "p@ss"


def test_another_database_is_refused_by_name():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        settings_with(DATABASE_URL="sqlite:///lab.db")
    assert "DATABASE_URL must name a PostgreSQL database" in caught.value.stderr


def test_redis_becomes_the_broker_by_one_setting():
    assert settings_with(REDIS_URL="")["q"]["orm"] == "default"
    found = settings_with(REDIS_URL="redis://127.0.0.1:6379/3")["q"]
    assert found["redis"] == "redis://127.0.0.1:6379/3"
    assert "orm" not in found


def test_the_secret_key_is_made_once_and_kept_to_oneself(tmp_path):
    show = "from punklab import settings; print(settings.SECRET_KEY)"
    env = os.environ | {"STATE_DIR": str(tmp_path), "SECRET_KEY": ""}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", show], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert first == second
    assert len(first.strip()) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:p@127.0.0.1:1/x", ["The database does not answer", "port 1 failed", "DATABASE_URL"]),
        ("mysql://u:p@host/x", ["DATABASE_URL must name a PostgreSQL"]),
    ],
)
def test_a_command_says_in_one_line_that_its_database_cannot_be_had(url, said):
    done = subprocess.run(
        [sys.executable, "manage.py", "convergence", "run"],
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert all(words in done.stderr for words in said)
