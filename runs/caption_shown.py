"""What the caption workbench shows: which captions fit a filter, and a text with all that is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from django.http import QueryDict

from runs.caption_checks import Finding
from runs.caption_findings import Known
from runs.caption_states import State
from runs.caption_text import Length, Marked, Piece, diff, length_of, mark


@dataclass(frozen=True)
class Filter:
    """Which captions a list shows: of a status, with a finding, with changed text, with some words."""

    status: str = ""
    finding: str = ""
    changed: str = ""
    q: str = ""

    @classmethod
    def of(cls, given: QueryDict) -> Filter:
        return cls(**{name: given.get(name, "") for name in ("status", "finding", "changed", "q")})

    def fits(self, state: State, known: Known) -> bool:
        """Whether a caption is shown; while nobody knows the findings, those that are asked for leave none out."""
        return (
            (not self.status or state.status == self.status)
            and (not self.finding or not known.is_ready or self._has_finding(state.findings(known)))
            and (not self.changed or state.is_changed)
            and (not self.q or self.q.lower() in f"{state.stem}\n{state.text}".lower())
        )

    @property
    def query(self) -> str:
        """As the end of an address, with its question mark; empty when nothing is filtered."""
        given = {name: value for name, value in vars(self).items() if value}
        return f"?{urlencode(given)}" if given else ""

    def _has_finding(self, found: list[Finding]) -> bool:
        return bool(found) if self.finding == "any" else any(each.code == self.finding for each in found)


class Checked:
    """A text with all that is said about it while it is being edited."""

    def __init__(self, text: str, original: str, findings: list[Finding]) -> None:
        self.text, self.original, self.findings = text, original, findings

    @cached_property
    def marked(self) -> list[Marked]:
        return mark(self.text, self.findings)

    @cached_property
    def length(self) -> Length:
        return length_of(self.text)

    @cached_property
    def diff(self) -> list[Piece]:
        return diff(self.original, self.text) if self.text != self.original else []
