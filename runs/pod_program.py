"""The pod's program as one file: `runs/pod/` as a zip application, the same bytes for the same source."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

_MAIN = b"from runs.pod.main import main\n\nmain()\n"


@cache
def program() -> tuple[str, bytes]:
    """SHA-256 and bytes of the application that `python3` runs."""
    files = {"__main__.py": _MAIN, "runs/__init__.py": b""}
    for path in sorted(Path(__file__).with_name("pod").glob("*.py")):
        files[f"runs/pod/{path.name}"] = path.read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    content = out.getvalue()
    return hashlib.sha256(content).hexdigest(), content
