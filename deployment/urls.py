from __future__ import annotations

from django.urls import path

from deployment import views

app_name = "deployment"
urlpatterns = [
    path("", views.generator, name="generator"),
    path("punk/<uuid:key>/", views.punk, name="punk"),
    path("punk/<uuid:key>/status.json", views.punk_status, name="punk_status"),
    path("punk/<uuid:key>.png", views.punk_png, name="punk_png"),
]
