"""The site's secret key, where the environment gives none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """Return the key in `path`, writing a new one of 64 characters first where there is none (mode 0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        fresh.touch(mode=0o600)  # before there is anything to read in it
        fresh.write_text(secrets.token_urlsafe(48))
        try:
            os.link(fresh, path)  # the first of two writers wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()
