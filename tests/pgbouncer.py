"""Runs pytest with its database behind Debian's PgBouncer in transaction mode: `python -m tests.pgbouncer ARGUMENTS`."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from punklab.database import server
from punklab.settings import DATABASE_URL, STATE_DIR


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> int:
    program = shutil.which("pgbouncer")
    if program is None or DATABASE_URL:
        sys.exit("needs the program pgbouncer (Debian: apt-get install pgbouncer), and DATABASE_URL unset")
    host = server.ensure(STATE_DIR / "postgres")
    as_root = os.geteuid() == 0
    user = "pgserver" if as_root else getpass.getuser()  # PgBouncer refuses to run as root
    port = free_port()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "users.txt").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={host} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
            "default_pool_size = 2\nserver_idle_timeout = 1\n"
        )
        bouncer = subprocess.Popen([program, "-q", *(["-u", user] if as_root else []), str(folder / "pgbouncer.ini")])
        try:
            wait_for(port)
            env = os.environ | {
                "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/postgres",
                "DATABASE_TRANSACTION_POOLED": "true",
            }
            return subprocess.run([sys.executable, "-m", "pytest", *sys.argv[1:]], env=env, check=False).returncode
        finally:
            bouncer.terminate()
            bouncer.wait()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("PgBouncer did not start")


if __name__ == "__main__":
    sys.exit(main())
