"""What the drawn test pictures of a checkpoint say about its epoch: measured, written down, never scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from PIL import Image

from evaluation import verdicts
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestRender
from evaluation.renderjob import Status
from punklab.pixels.measures import measure
from runs.models import Checkpoint

logger = logging.getLogger(__name__)

MEASURED_BY = "punklab"
FAULTY_BELOW_PERCENT = 70.0  # as the lab's rules: under 7 of 10
_ISSUE_MEASURES = {verdicts.WRONG_BACKGROUND: "background_accuracy", verdicts.WRONG_COLOURS: "color_accuracy"}
Metrics = dict[str, Any]


def epoch_result_for(checkpoint: Checkpoint) -> EpochResult | None:
    """The row of the checkpoint's epoch, made when there is none; one that exists is left as it is.

    None for a checkpoint without run or epoch: a base model, a file tried by itself."""
    if checkpoint.run is None or not checkpoint.epoch:
        return None
    epoch = {"training_run": checkpoint.run, "epoch_number": checkpoint.epoch}
    row = EpochResult.objects.filter(**epoch).order_by("id").first()
    if row is None:
        row, _ = EpochResult.objects.get_or_create(
            **epoch,
            defaults={
                "checkpoint_path": str(checkpoint.path) if checkpoint.path else None,
                "checkpoint_file_size_mb": round(checkpoint.size / 2**20),
                "num_test_images": 0,
            },
        )
    return row


def record(render: TestRender) -> None:
    """Measure a drawn test picture and write its prompt test result; ERRORED when its files are gone. Again: nothing."""
    if render.measures is not None or render.finished_path is None or render.raw_path is None:
        return
    try:
        with Image.open(render.finished_path) as finished, Image.open(render.raw_path) as raw:
            measures = measure(finished.convert("RGB"), raw.convert("RGB"), render.request["prompt"]).to_json()
    except (OSError, ValueError) as error:
        logger.exception("test render %s cannot be measured", render.pk)
        TestRender.objects.filter(pk=render.pk, status=Status.RENDERED, measures__isnull=True).update(
            status=Status.ERRORED, message=f"The picture cannot be measured: {error}. Queue it again."
        )
        return
    epoch_result = epoch_result_for(render.checkpoint)
    with transaction.atomic():
        row = TestRender.objects.select_for_update().get(pk=render.pk)
        if row.measures is not None or row.status != Status.RENDERED:
            return
        row.measures = measures
        if epoch_result is not None and row.result_id is None:
            row.result = PromptTestResult.objects.create(
                epoch_result=epoch_result,
                test_prompt_id=row.test_prompt_id,
                image_path=str(row.finished_path),
                correct_background_color=measures["background"]["matches"],
                correct_hair_color=measures["hair"]["matches"],
                is_pixel_art=measures["is_pixel_art"],
                observations="; ".join(measures["suggested"]["reasons"]),
            )
        row.save(update_fields=["measures", "result"])


def summarise(checkpoint: Checkpoint) -> EpochResult | None:
    """Write what all measured pictures of the checkpoint say into its epoch's row, and suggest scores.

    Metrics, pictures and a suggestion; scores, verdict, issues and strengths are never touched. Metrics and pictures that
    came from elsewhere stay. None when the checkpoint has no epoch or nothing has been measured."""
    renders = list(
        TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED)
        .exclude(measures__isnull=True)
        .select_related("test_prompt")
        .order_by("priority", "id")
    )
    found = epoch_result_for(checkpoint)
    if found is None or not renders:
        return None
    with transaction.atomic():
        row = EpochResult.objects.select_for_update().get(pk=found.pk)
        metrics = metrics_of([render.measures for render in renders if render.measures is not None])
        pictures_are_ours = not row.test_image_paths or metrics_ours(row) is not None
        row.quantitative_metrics = _beside_theirs(row.quantitative_metrics, metrics)
        if pictures_are_ours:
            row.num_test_images = len(renders)
            row.test_image_paths = [str(render.finished_path) for render in renders]
            row.test_output_dir = str(renders[0].finished_path.parent) if renders[0].finished_path else None
        row.save(update_fields=["quantitative_metrics", "num_test_images", "test_image_paths", "test_output_dir"])
        _suggest(row, renders)
    return row


def is_behind(checkpoint: Checkpoint) -> bool:
    """Whether pictures were measured that the epoch's row does not speak of yet."""
    n_measured = (
        TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED).exclude(measures__isnull=True).count()
    )
    row = epoch_result_for(checkpoint) if n_measured else None
    return row is not None and (metrics_ours(row) or {}).get("n_pictures") != n_measured


def metrics_of(measures: Sequence[Metrics]) -> Metrics:
    """What `v_epoch_metrics_progression` reads, in percent of the pictures (style 0 to 10); None: not measured."""
    background = _share(measures, lambda each: each["background"]["matches"])
    hair = _share(measures, lambda each: each["hair"]["matches"])
    judged = [share for share in (background, hair) if share is not None]
    return {
        "measured_by": MEASURED_BY,
        "measured_at": timezone.now().isoformat(timespec="seconds"),
        "n_pictures": len(measures),
        "color_accuracy": round(sum(judged) / len(judged), 1) if judged else None,
        "background_accuracy": background,
        "hair_accuracy": hair,
        "hair_two_toned": None,
        "style_quality": _mean([each["suggested"]["style"] for each in measures]),
        "pixel_art_purity": _share(measures, lambda each: each["is_pixel_art"]),
        "photorealism_score": None,
        "background_solid": _share(measures, lambda each: each["background_is_solid"]),
        "lattice_score": _mean([each["lattice"] for each in measures]),
        "colours_merged": _mean([each["colours_merged"] for each in measures]),
    }


def metrics_ours(row: EpochResult) -> Metrics | None:
    """The metrics that we measured of an epoch's pictures; None before there are any."""
    written = row.quantitative_metrics
    if not isinstance(written, dict):
        return None
    return written if written.get("measured_by") == MEASURED_BY else written.get(MEASURED_BY)


def measured_issue(row: EpochResult, issue: str) -> bool | None:
    """Whether the measures find the issue: under 70 percent of the pictures right. None: not measured."""
    share = (metrics_ours(row) or {}).get(_ISSUE_MEASURES[issue])
    return None if share is None else share < FAULTY_BELOW_PERCENT


def measured_pixel_art(row: EpochResult) -> bool | None:
    """Whether the measures find pixel art in most pictures; None: not measured."""
    share = (metrics_ours(row) or {}).get("pixel_art_purity")
    return None if share is None else share >= FAULTY_BELOW_PERCENT


def checkpoint_of(epoch_result: EpochResult) -> Checkpoint | None:
    """The file of an epoch; None when it is not registered here, as for most of the lab's past epochs."""
    return Checkpoint.objects.filter(run=epoch_result.training_run_id, epoch=epoch_result.epoch_number).first()


def suggestion(epoch_result: EpochResult) -> ScoreEntry | None:
    """The scores that the measures suggest now; None before the pictures are measured."""
    return epoch_result.score_entries.filter(source=ScoreEntry.Source.MACHINE).exclude(reasons=[]).first()


def _beside_theirs(written: Any, ours: Metrics) -> Metrics:
    """Our metrics, or another script's with ours under a key of their own."""
    if not written or (isinstance(written, dict) and written.get("measured_by") == MEASURED_BY):
        return ours
    theirs = written if isinstance(written, dict) else {"before": written}
    return {**theirs, MEASURED_BY: ours}


def _suggest(row: EpochResult, renders: Sequence[TestRender]) -> None:
    measures = [render.measures for render in renders if render.measures]
    scores = {
        name: _mean([each["suggested"][part] for each in measures])
        for name, part in zip(EpochResult.SCORES, ("visual", "style", "prompt"), strict=True)
    }
    given = [score for score in scores.values() if score is not None]
    reasons = [_tally("background", measures), _tally("hair", measures)]
    reasons += [
        f"{render.test_prompt}: {reason}"
        for render in renders
        for reason in (render.measures or {})["suggested"]["reasons"]
        if " matches " not in reason
    ]
    last = suggestion(row)
    if last and last.reasons == reasons and all(getattr(last, name) == score for name, score in scores.items()):
        return
    ScoreEntry.objects.create(
        epoch_result=row,
        source=ScoreEntry.Source.MACHINE,
        verdict=verdicts.verdict_for(sum(given) / len(given)) if len(given) == len(scores) else "",
        observations=f"Suggested from {len(measures)} pictures.",
        reasons=reasons,
        **scores,
    )


def _tally(part: str, measures: Sequence[Metrics]) -> str:
    judged = [each[part]["matches"] for each in measures if each[part]["matches"] is not None]
    return f"{part}: {sum(judged)} of {len(judged)} pictures in the asked colour"


def _share(measures: Sequence[Metrics], fact: Callable[[Metrics], bool | None]) -> float | None:
    known = [value for each in measures if (value := fact(each)) is not None]
    return round(100 * sum(known) / len(known), 1) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None
