"""The console's pages on what the public gets, below /console/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from deployment import readiness_views

app_name = "readiness"
urlpatterns = [path("ready/<int:pk>/", admin.site.admin_view(readiness_views.ready), name="ready")]
