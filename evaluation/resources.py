"""The mirrored tables of `evaluation` as files.

Files of this console name the run, the epoch and the prompt beside their ids; where both are given the names decide,
since ids differ between two databases.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from import_export import fields

from evaluation.models import EpochResult, PromptTestResult, TestPrompt
from punklab.mirrored_files import KeptField, MirroredResource, ScoreWidget, WholeNumberWidget
from runs.models import TrainingRun


class TestPromptResource(MirroredResource):
    class Meta(MirroredResource.Meta):
        model = TestPrompt
        import_id_fields = ("prompt_name",)


class EpochResultResource(MirroredResource):
    training_run_id = KeptField("training_run_id", "training_run_id", WholeNumberWidget())
    run_name = fields.Field("training_run__run_name", "run_name", readonly=True)
    visual_quality_score = KeptField("visual_quality_score", "visual_quality_score", ScoreWidget())
    style_match_score = KeptField("style_match_score", "style_match_score", ScoreWidget())
    prompt_adherence_score = KeptField("prompt_adherence_score", "prompt_adherence_score", ScoreWidget())

    class Meta(MirroredResource.Meta):
        model = EpochResult
        import_id_fields = ("training_run_id", "epoch_number")
        exclude = ("training_run",)

    def get_queryset(self) -> QuerySet[EpochResult]:
        return EpochResult.objects.select_related("training_run")

    def before_import_row(self, row: dict[str, Any], **_: Any) -> None:
        if row.get("run_name"):
            row["training_run_id"] = _pk(TrainingRun, "training run", run_name=row["run_name"])


class PromptTestResultResource(MirroredResource):
    epoch_result_id = KeptField("epoch_result_id", "epoch_result_id", WholeNumberWidget())
    test_prompt_id = KeptField("test_prompt_id", "test_prompt_id", WholeNumberWidget())
    run_name = fields.Field("epoch_result__training_run__run_name", "run_name", readonly=True)
    epoch_number = fields.Field("epoch_result__epoch_number", "epoch_number", readonly=True)
    prompt_name = fields.Field("test_prompt__prompt_name", "prompt_name", readonly=True)
    score = KeptField("score", "score", ScoreWidget())

    class Meta(MirroredResource.Meta):
        model = PromptTestResult
        import_id_fields = ("epoch_result_id", "test_prompt_id", "image_path")
        exclude = ("epoch_result", "test_prompt")

    def get_queryset(self) -> QuerySet[PromptTestResult]:
        return PromptTestResult.objects.select_related("epoch_result__training_run", "test_prompt")

    def before_import_row(self, row: dict[str, Any], **_: Any) -> None:
        if row.get("run_name") and row.get("epoch_number"):
            row["epoch_result_id"] = _pk(
                EpochResult,
                "epoch result",
                training_run__run_name=row["run_name"],
                epoch_number=WholeNumberWidget().clean(row["epoch_number"]),
            )
        if row.get("prompt_name"):
            row["test_prompt_id"] = _pk(TestPrompt, "test prompt", prompt_name=row["prompt_name"])


def _pk(model: Any, kind: str, **key: Any) -> int:
    pk: int | None = model.objects.filter(**key).values_list("pk", flat=True).first()
    if pk is None:
        words = ", ".join(str(value) for value in key.values())
        raise ValidationError(f"There is no {kind} {words} here: import that file first.")
    return pk
