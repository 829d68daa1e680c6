"""The queue's own tables in the console: django-q's pages, for looking at; only administrators queue a task again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success


class _Closed(admin.ModelAdmin[Any]):
    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if self.has_change_permission(request) else {}


class SuccessAdmin(_Closed, TaskAdmin):
    list_display = ("name", "func", "group", "cluster", "started", "time_taken")
    list_filter = ("cluster", "group")
    date_hierarchy = "started"


class FailureAdmin(_Closed, FailAdmin):
    list_display = ("name", "func", "group", "cluster", "started", "short_result")
    list_filter = ("cluster", "group")
    date_hierarchy = "started"


class QueuedAdmin(_Closed, QueueAdmin):
    list_display = ("name", "func", "group", "key", "lock")


class ScheduledAdmin(_Closed, ScheduleAdmin):
    list_display = ("name", "func", "schedule_type", "minutes", "cluster", "next_run", "get_success")
    list_display_links = ("name",)


for model, shown in (
    (Success, SuccessAdmin),
    (Failure, FailureAdmin),
    (OrmQ, QueuedAdmin),
    (Schedule, ScheduledAdmin),
):
    if admin.site.is_registered(model):  # the waiting tasks are only there with the ORM broker
        admin.site.unregister(model)
        admin.site.register(model, shown)
