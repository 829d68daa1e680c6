"""The console's own pages on epochs, below /console/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from evaluation import views

app_name = "evaluation"
urlpatterns = [
    path(
        "pictures/<slug:kind>/<int:pk>/<int:index>/",
        admin.site.admin_view(views.picture, cacheable=True),
        name="picture",
    ),
    path("review/", admin.site.admin_view(views.review), name="review"),
    path("review/<int:pk>/", admin.site.admin_view(views.review_epoch), name="review_epoch"),
    path("measures/", admin.site.admin_view(views.measures), name="measures"),
    path("compare/<int:pk>/", admin.site.admin_view(views.compare), name="compare"),
]
