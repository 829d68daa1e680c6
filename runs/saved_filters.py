"""Searches of the list of runs that are kept under a name."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import QueryDict

from runs.models import SavedFilter

MOST = 50  # of one person


def filters_for(user: User) -> QuerySet[SavedFilter]:
    """The person's own filters and those that others share."""
    return SavedFilter.objects.filter(Q(by=user) | Q(is_shared=True)).select_related("by")


def save_filter(name: str, query: str, *, shared: bool, by: User, is_known: Callable[[QueryDict], bool]) -> SavedFilter:
    """Keep a query string of the list under a name. Raises ValidationError for a name that is missing or taken, and for a
    query that `is_known` does not know as one of the list's."""
    given = QueryDict(query, mutable=True)
    given.pop("p", None)  # the page one happens to be on
    if not is_known(given):
        raise ValidationError(f"{query[:80]!r} is no search of this list: filter the list, then save it.")
    if SavedFilter.objects.filter(by=by).count() >= MOST:
        raise ValidationError(f"You have {MOST} filters: delete one first.")
    row = SavedFilter(name=name.strip(), query=given.urlencode(), is_shared=shared, by=by)
    row.full_clean()
    row.save()
    return row


def delete_filter(row: SavedFilter, *, by: User) -> None:
    """Delete one's own filter. Raises PermissionDenied for another person's."""
    if row.by_id != by.pk:
        raise PermissionDenied(f"{row} is {row.by}'s filter: only they can delete it.")
    row.delete()
