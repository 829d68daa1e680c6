"""The console's own pages on captions, below /console/captions/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from runs import caption_batch_views, caption_views

app_name = "runs"
urlpatterns = [
    path("captions/diff/", admin.site.admin_view(caption_batch_views.diff), name="captions_diff"),
    path("captions/<int:pk>/", admin.site.admin_view(caption_views.captions), name="captions"),
    path("captions/<int:pk>/replace/", admin.site.admin_view(caption_batch_views.replace), name="captions_replace"),
    path("captions/<int:pk>/fixes/", admin.site.admin_view(caption_batch_views.fixes), name="captions_fixes"),
    path("captions/<int:pk>/undo/", admin.site.admin_view(caption_batch_views.undo), name="captions_undo"),
    path("captions/<int:pk>/version/", admin.site.admin_view(caption_batch_views.version), name="captions_version"),
    path("captions/<int:pk>/reviews/", admin.site.admin_view(caption_batch_views.reviews), name="captions_reviews"),
    path("captions/<int:pk>/check/", admin.site.admin_view(caption_views.check), name="captions_check"),
    path("captions/<int:pk>/one/<path:stem>/", admin.site.admin_view(caption_views.caption), name="caption"),
]
