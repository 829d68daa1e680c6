"""The console's own pages on epochs, below /console/; for people who are logged in as staff."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from evaluation import blind_start_views, blind_views, desk_views, matrix_views, trend_views, views

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
    path("convergence/<int:pk>/", admin.site.admin_view(trend_views.trend), name="trend"),
    path("report/<int:pk>/", admin.site.admin_view(trend_views.report), name="report"),
    path("compare/<int:pk>/", admin.site.admin_view(matrix_views.matrix), name="compare"),
    path("compare/<int:pk>/progress/", admin.site.admin_view(matrix_views.progress), name="comparison_progress"),
    path("compare/<int:pk>/export/<slug:kind>/", admin.site.admin_view(matrix_views.export), name="export_matrix"),
    path("pairs/", admin.site.admin_view(blind_start_views.pairs), name="pairs"),
    path("pairs/start/<int:pk>/", admin.site.admin_view(blind_start_views.start), name="pairs_start"),
    path("pairs/<int:pk>/", admin.site.admin_view(blind_views.vote_page), name="pairs_vote"),
    path(
        "pairs/<int:pk>/<int:place>/<slug:side>.png", admin.site.admin_view(blind_views.picture), name="pairs_picture"
    ),
    path("pairs/<int:pk>/vote/", admin.site.admin_view(blind_views.vote), name="pairs_cast"),
    path("pairs/<int:pk>/undo/", admin.site.admin_view(blind_views.undo), name="pairs_undo"),
    path("pairs/<int:pk>/results/", admin.site.admin_view(blind_views.results), name="pairs_results"),
    path("pairs/<int:pk>/withdraw/", admin.site.admin_view(blind_views.withdraw), name="pairs_withdraw"),
]
