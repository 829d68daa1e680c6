"""The console's own pages on epochs, below /console/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from evaluation import desk_views, views

app_name = "evaluation"
urlpatterns = [
    path(
        "pictures/<slug:kind>/<int:pk>/<int:index>/",
        admin.site.admin_view(views.picture, cacheable=True),
        name="picture",
    ),
    path("review/", admin.site.admin_view(desk_views.review), name="review"),
    path("review/mode/", admin.site.admin_view(desk_views.mode), name="review_mode"),
    path("review/<int:pk>/", admin.site.admin_view(desk_views.review_epoch), name="review_epoch"),
    path("review/<int:pk>/draft/", admin.site.admin_view(desk_views.draft), name="draft"),
    path("review/<int:pk>/discard/", admin.site.admin_view(desk_views.discard), name="discard_draft"),
    path("review/<int:pk>/undo/", admin.site.admin_view(desk_views.undo), name="undo_scores"),
    path("review/picture/<int:pk>/", admin.site.admin_view(desk_views.picture_review), name="picture_review"),
    path("review/measures/<int:pk>/", admin.site.admin_view(desk_views.picture_measures), name="picture_measures"),
    path("measures/", admin.site.admin_view(views.measures), name="measures"),
    path("compare/<int:pk>/", admin.site.admin_view(views.compare), name="compare"),
]
