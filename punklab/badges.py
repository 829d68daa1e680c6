"""Words of state as coloured badges; the word itself always shows, so that colour is never the only sign."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

_TONES = {
    "good": {"completed", "success", "finished", "rendered", "live", "best", "good", "improving", "continue", "met"},
    "busy": {
        "in_progress",
        "queued",
        "running",
        "rendering",
        "pending",
        "partial",
        "acceptable",
        "plateau",
        "check",
        "starting",
        "collecting",
        "requested",
        "active",
        "releasing",
    },
    "bad": {"failed", "failure", "errored", "cancelled", "skip", "degrading", "stop", "not met"},
}


def tone(word: str) -> str:
    """Return good, busy, bad, or plain for a word that the lab's documents do not know."""
    return next((name for name, words in _TONES.items() if word in words), "plain")


def badge(word: str | None, text: str = "") -> SafeString | str:
    """Return the word (or `text` in its colour) as a badge; a dash where there is none."""
    if not word:
        return "–"
    return format_html('<span class="badge badge-{}">{}</span>', tone(word), text or word.replace("_", " "))
