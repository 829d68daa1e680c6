"""A row's history in the console: its values as they were changed, and the acts done with it, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry as Change
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

MOST_EVENTS = 500

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened to a row; `by` is None for a machine, `changes` are (column, before, after)."""

    at: datetime
    by: Any
    what: str
    changes: Sequence[tuple[str, str, str]] = ()


class HistoryAdmin(_Admin):
    """The part of a ModelAdmin that tells a row's history."""

    def further_events(self, row: Any) -> Iterable[Event]:
        """What happened to the row beyond its own columns and acts; for apps to add."""
        return ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what of the row and when; deleted rows have their history too."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        events = sorted([*events_of(row), *self.further_events(row)], key=lambda event: event.at, reverse=True)
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {row}",
            "events": events[:MOST_EVENTS],
            "n_left_out": max(0, len(events) - MOST_EVENTS),
            "opts": self.opts,
            "original": row,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/history.html", context)


def events_of(row: Any) -> list[Event]:
    """The changes of a row's columns and the acts done with it. Two queries."""
    changes = Change.objects.get_for_object(row).select_related("actor")[: MOST_EVENTS + 1]
    kind = ContentType.objects.get_for_model(row)
    acts = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).select_related("user")
    told = [
        Event(at=act.action_time, by=act.user, what=act.change_message)
        for act in acts[: MOST_EVENTS + 1]
        if act.change_message and not _is_form(act.change_message)
    ]
    return [*map(_event, changes), *told]


def _event(change: Change) -> Event:
    columns = [(name, *map(str, values)) for name, values in (change.changes or {}).items() if isinstance(values, list)]
    return Event(
        at=change.timestamp,
        by=change.actor,
        what=("created", "changed", "deleted", "looked at")[change.action],
        changes=[] if change.action == Change.Action.CREATE else columns,
    )


def _is_form(message: str) -> bool:
    """Whether it is Django's own note on a form, which the changed values tell better."""
    try:
        return isinstance(json.loads(message), list)
    except ValueError:
        return False
