"""The list of runs: its saved filters above it."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path, reverse

from runs.saved_filters import delete_filter, filters_for, save_filter

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


class SavedFiltersAdmin(_Admin):
    """The part of a ModelAdmin whose list keeps searches under names."""

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("filters/save/", wrap(self.save_filter_view), name="runs_trainingrun_save_filter"),
            path("filters/<int:pk>/delete/", wrap(self.delete_filter_view), name="runs_trainingrun_delete_filter"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        assert isinstance(request.user, User)
        current = request.GET.copy()
        current.pop("p", None)
        facts = {"saved_filters": list(filters_for(request.user)), "current_query": current.urlencode()}
        answer: HttpResponse = super().changelist_view(request, {**facts, **(extra_context or {})})
        return answer

    def save_filter_view(self, request: HttpRequest) -> HttpResponse:
        """Keep the list's present search."""
        by = self._person(request)
        query = request.POST.get("query", "")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            row = save_filter(
                request.POST.get("name", ""),
                query,
                shared="shared" in request.POST,
                by=by,
                is_known=lambda given: self._is_search(request, given),
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(self._list())
        messages.success(request, f"The filter {row} is kept.")
        return HttpResponseRedirect(f"{self._list()}?{row.query}")

    def delete_filter_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete one's own filter."""
        by = self._person(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = get_object_or_404(filters_for(by), pk=pk)
        delete_filter(row, by=by)
        messages.success(request, f"The filter {row} is deleted.")
        return HttpResponseRedirect(self._list())

    def _person(self, request: HttpRequest) -> User:
        if not self.has_view_permission(request):
            raise PermissionDenied("The list of runs needs the role viewer.")
        assert isinstance(request.user, User)
        return request.user

    def _is_search(self, request: HttpRequest, given: QueryDict) -> bool:
        """Whether the list would take this query string and find something to do with all of it."""
        trial = copy(request)
        trial.GET = given  # type: ignore[assignment]
        try:
            self.get_changelist_instance(trial)
        except (IncorrectLookupParameters, SuspiciousOperation):
            return False
        return True

    def _list(self) -> str:
        return reverse("admin:runs_trainingrun_changelist")
