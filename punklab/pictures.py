"""Pictures for people who are logged in: found by a row's key, never by a path from the address."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase

_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def stored(path: str | None) -> Path | None:
    """Return the picture file that a row names, where it lies below STORAGE_DIR; None for any other path."""
    if not path or "\0" in path:
        return None
    storage = Path(settings.STORAGE_DIR).resolve()
    file = (storage / path).resolve()
    known = file.suffix.lower() in _TYPES and file.is_relative_to(storage)
    return file if known and file.is_file() else None


def from_file(file: Path) -> HttpResponseBase:
    """Answer with a picture file that never changes."""
    return _kept(FileResponse(file.open("rb"), content_type=_TYPES[file.suffix.lower()]))


def from_bytes(png: bytes) -> HttpResponseBase:
    """Answer with a PNG that never changes."""
    return _kept(HttpResponse(png, content_type="image/png"))


def _kept(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["Content-Disposition"] = "inline"
    return response
