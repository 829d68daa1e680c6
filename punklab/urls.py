from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("console/", include("runs.urls")),
    path("console/", include("evaluation.urls")),  # before the admin, which answers for all that is left
    path("console/", include("deployment.console_urls")),
    path("console/", admin.site.urls),
    path("", include("deployment.urls")),
]
