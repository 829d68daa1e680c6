"""The console: Django's admin under our name, with the lab at a glance on its first page (`punklab.home`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from auditlog.context import set_actor
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Count, Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse

from deployment.models import Generation, Release
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab import home
from runs.models import TrainingJob

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

_WAITING = {Status.QUEUED.value}
_WORKING = {
    Status.RENDERING.value,
    TrainingJob.Status.STARTING.value,
    TrainingJob.Status.RUNNING.value,
    TrainingJob.Status.COLLECTING.value,
}
_BROKEN = {Status.FAILED.value, Status.ERRORED.value}


@dataclass(frozen=True, kw_only=True)
class Line:
    """How much of one kind of work is where."""

    kind: str
    url: str
    waiting: int
    working: int
    done: int
    broken: int


class ConsoleSite(admin.AdminSite):
    site_title = "punklab"
    site_header = "punklab console"
    index_title = "The lab"
    index_template = "admin/console_index.html"

    # In the order in which work reaches the public.
    apps = ("runs", "evaluation", "deployment", "auditlog", "django_q")

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Wrap a page of the console: only for staff, and what it changes is kept with who changed it."""

        @wraps(view)
        def by_person(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            with set_actor(request.user):
                return view(request, *args, **kwargs)

        return super().admin_view(cast(View, by_person), cacheable)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps with the lab's own first."""
        found = super().get_app_list(request, app_label)
        return sorted(found, key=lambda app: self.apps.index(app["app_label"]) if app["app_label"] in self.apps else 9)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        facts: dict[str, Any] = {}
        if request.user.has_perm("runs.view_trainingrun"):
            assert isinstance(request.user, User)
            facts = {
                "overview": overview(),
                "live": Release.objects.live(),
                "needs": home.needs(request.user),
                "n_to_score": home.to_score(request.user),
                "n_tasks": home.tasks_waiting(),
                "running": home.running(),
                "lately": home.lately(),
                "spent": home.spent(),
            }
        return super().index(request, {**facts, **(extra_context or {})})


def overview() -> list[Line]:
    """One line a kind of work, in the order in which work reaches the public."""
    kinds: tuple[tuple[str, type[Model]], ...] = (
        ("Trainings", TrainingJob),
        ("Test pictures", TestRender),
        ("Visitors' punks", Generation),
    )
    return [_line(kind, model) for kind, model in kinds]


def _line(kind: str, model: type[Model]) -> Line:
    counts = dict(model._default_manager.order_by().values_list("status").annotate(n=Count("pk")))

    def total(words: set[str]) -> int:
        return sum(n for status, n in counts.items() if status in words)

    return Line(
        kind=kind,
        url=reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),
        waiting=total(_WAITING),
        working=total(_WORKING),
        done=total({Status.RENDERED.value, TrainingJob.Status.FINISHED.value}),
        broken=total(_BROKEN),
    )
