"""Acts in the console: a button on a row's page, a page that says what will happen, one call.

An act changes state through the function that commands call too; nothing is done in `save_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from punklab.history import HistoryAdmin
from punklab.roles import role_for

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


def _always(_: Any) -> bool:
    return True


def _none(_: Any) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a person may do with one row."""

    name: str
    label: str
    permission: str
    question: Callable[[Any], str]
    # row, person, cleaned form -> a sentence saying what was done. Raises one of `errors` with a sentence instead.
    perform: Callable[[Any, User, dict[str, Any]], str]
    errors: tuple[type[Exception], ...] = (ValueError,)
    form: type[forms.Form] = forms.Form
    initial: Callable[[Any], dict[str, Any]] = lambda _: {}
    offered: Callable[[Any], bool] = _always
    blockers: Callable[[Any], Sequence[str]] = _none
    is_grave: bool = False


class ActsAdmin(_Admin):
    """The part of a ModelAdmin that offers acts on a row's page."""

    acts: Sequence[Act] = ()
    change_form_template = "admin/acts_change_form.html"

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("<int:pk>/act/<slug:act_name>/", view, name=name), *super().get_urls()]

    def act_url(self, row: Any, act: Act) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=(row.pk, act.name))

    def offers(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        """Return label, url and gravity of each act that this person may do with the row as it stands."""
        return [
            {"name": act.name, "label": act.label, "url": self.act_url(row, act), "is_grave": act.is_grave}
            for act in self.acts
            if request.user.has_perm(act.permission) and act.offered(row)
        ]

    def act_view(self, request: HttpRequest, pk: int, act_name: str) -> HttpResponse:
        """Ask on GET; do it on POST, and say what came of it."""
        act = next((act for act in self.acts if act.name == act_name), None)
        row = self.get_queryset(request).filter(pk=pk).first()
        if act is None or row is None:
            raise Http404(f"There is no {act_name!r} for {self.opts.verbose_name} {pk}.")
        if not request.user.has_perm(act.permission):
            raise PermissionDenied(f"This needs the role {role_for(act.permission)}.")
        form = act.form(request.POST if request.method == "POST" else None, initial=act.initial(row))
        blockers = list(act.blockers(row))
        if request.method == "POST" and not blockers and form.is_valid() and self._done(request, act, row, form):
            return HttpResponseRedirect(self._page_of(row))
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "subtitle": str(row),
            "opts": self.opts,
            "original": row,
            "act": act,
            "question": act.question(row),
            "blockers": blockers,
            "form": form,
            "back": self._page_of(row),
            "others": [offer for offer in self.offers(request, row) if offer["name"] != act.name],
        }
        return TemplateResponse(request, "admin/act.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        offers = self.offers(request, row) if row is not None else []
        return super().change_view(request, object_id, form_url, {"acts": offers, **(extra_context or {})})

    def _done(self, request: HttpRequest, act: Act, row: Any, form: forms.Form) -> bool:
        assert isinstance(request.user, User)
        try:
            said = act.perform(row, request.user, form.cleaned_data)
        except act.errors as error:
            form.add_error(None, _sentences(error))
            return False
        self.log_change(request, row, f"{act.label}: {said}")
        messages.success(request, said)
        return True

    def _page_of(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(row.pk,))


def _sentences(error: Exception) -> list[str]:
    if isinstance(error, ValidationError):
        return list(error.messages)
    lines = getattr(error, "blockers", None) or getattr(error, "problems", None) or [error]
    return [str(line) for line in lines]


class ReadOnlyAdmin(HistoryAdmin):
    """Rows that only acts and machines write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
