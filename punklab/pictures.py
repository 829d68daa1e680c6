"""Pictures for people who are logged in: found by a row's key, never by a path from the address."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpResponse

_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def stored(path: str | None) -> Path | None:
    """Return the picture file that a row names, where it lies below STORAGE_DIR; None for any other path."""
    if not path or "\0" in path:
        return None
    storage = Path(settings.STORAGE_DIR).resolve()
    file = (storage / path).resolve()
    known = file.suffix.lower() in _TYPES and file.is_relative_to(storage)
    return file if known and file.is_file() else None


def type_of(file: Path) -> str:
    """Return the media type of a picture that `stored` found."""
    return _TYPES[file.suffix.lower()]


def from_row(path: str | None) -> HttpResponse:
    """Answer with the picture that a row names. Raises Http404 where it is not in this site's storage."""
    file = stored(path)
    if file is None:
        raise Http404("The picture is not on this machine.")
    try:
        return kept(file.read_bytes(), type_of(file))
    except OSError as error:
        raise Http404(f"The picture cannot be read: {error.strerror}.") from error


def kept(data: bytes, content_type: str = "image/png") -> HttpResponse:
    """Answer with a picture that never changes: a browser asks for it once."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "inline"}
    return HttpResponse(data, content_type=content_type, headers=headers)
