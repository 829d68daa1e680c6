"""The mirrored tables of `runs` as files."""

from __future__ import annotations

from punklab.mirrored_files import KeptField, MirroredResource, ScoreWidget
from runs.models import CaptionVersion, TrainingRun


class CaptionVersionResource(MirroredResource):
    class Meta(MirroredResource.Meta):
        model = CaptionVersion
        import_id_fields = ("version_name",)


class TrainingRunResource(MirroredResource):
    quality_score = KeptField("quality_score", "quality_score", ScoreWidget())

    class Meta(MirroredResource.Meta):
        model = TrainingRun
        import_id_fields = ("run_name",)
