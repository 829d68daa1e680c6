"""What the drawn test pictures of a checkpoint say about its epoch: measured, written down, never scored."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from evaluation import metrics, noise, suggestions, verdicts, voices
from evaluation.metrics import MEASURED_BY, Metrics
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab.pixels.many import Job, measure_files
from punklab.pixels.report import AS_ASKED
from runs.collections import collection_for
from runs.models import AdoptedPicture, Checkpoint, TrainingRun

logger = logging.getLogger(__name__)

_ISSUE_MEASURES = {verdicts.WRONG_BACKGROUND: "background_accuracy", verdicts.WRONG_COLOURS: "color_accuracy"}
_SUMMARY = (
    "quantitative_metrics",
    "diagnosed_issues",
    "num_test_images",
    "test_image_paths",
    "test_output_dir",
    *metrics.FLAGS,
)


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
    job = Job(render.raw_path, render.request["prompt"])
    (found,) = measure_files([job], collection_for(render.checkpoint.run))
    error = found.get("error", "" if render.finished_path.is_file() else "has no 24x24 beside it")
    if not error:
        write_measures(render, found)
        return
    logger.error("test render %s cannot be measured: its file %s", render.pk, error)
    TestRender.objects.filter(pk=render.pk, status=Status.RENDERED, measures__isnull=True).update(
        status=Status.ERRORED, message=f"The picture cannot be measured: its file {error}. Queue it again."
    )


def write_measures(render: TestRender, found: Metrics) -> None:
    """Keep a picture's measures and bring its prompt test result up to date; what a person changed there since stays."""
    before = render.measures
    epoch_result = epoch_result_for(render.checkpoint)
    with transaction.atomic():
        row = TestRender.objects.select_for_update(of=("self",)).select_related("result").get(pk=render.pk)
        if row.measures != before or row.status != Status.RENDERED:
            return  # another worker was faster
        row.measures = found
        if row.result is not None:
            _bring_up_to_date(row.result, before, found)
        elif epoch_result is not None:
            row.result = PromptTestResult.objects.create(
                epoch_result=epoch_result,
                test_prompt_id=row.test_prompt_id,
                image_path=str(row.finished_path),
                **metrics.checks_of(found),
            )
        row.save(update_fields=["measures", "result"])


def prompt_of(picture: AdoptedPicture) -> str | None:
    """The prompt of an adopted picture: of the result that names its file, or of the prompt that its name holds."""
    results = PromptTestResult.objects.filter(
        epoch_result__training_run=picture.run, epoch_result__epoch_number=picture.epoch, test_prompt__isnull=False
    ).select_related("test_prompt")
    for result in results:
        if result.image_path and Path(result.image_path).name == picture.original_name and result.test_prompt:
            return result.test_prompt.prompt_text
    name = picture.original_name.lower()
    named = [prompt for prompt in TestPrompt.objects.all() if prompt.prompt_name.lower() in name]
    longest = max(named, key=lambda prompt: len(prompt.prompt_name), default=None)
    return longest.prompt_text if longest else None


def summarise(checkpoint: Checkpoint) -> EpochResult | None:
    """Write what all measured pictures of the checkpoint say into its epoch's row, and suggest scores.

    Metrics, issues, flags, pictures and a suggestion; scores, verdict and a person's words are never touched, metrics and
    pictures that came from elsewhere stay. None when the checkpoint has no epoch or nothing has been measured."""
    renders = [
        render
        for render in TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED)
        .exclude(measures__isnull=True)
        .select_related("test_prompt")
        .order_by("priority", "id")
        if metrics.is_current(render.measures)
    ]
    found = epoch_result_for(checkpoint)
    if found is None or not renders:
        return None
    named = [(render.label, render.measures) for render in renders if render.measures is not None]
    with transaction.atomic():
        row = EpochResult.objects.select_for_update().get(pk=found.pk)
        pictures_are_ours = not row.test_image_paths or metrics_ours(row) is not None
        _write(row, named, noise.of_repeats(renders))
        if pictures_are_ours:
            row.num_test_images = len(renders)
            row.test_image_paths = [str(render.finished_path) for render in renders]
            row.test_output_dir = str(renders[0].finished_path.parent) if renders[0].finished_path else None
        row.save(update_fields=_SUMMARY)
        _suggest(row, named)
    return row


def summarise_adopted(run: TrainingRun, epoch: int) -> EpochResult | None:
    """The same of an epoch whose pictures were adopted, where it has a row and we drew none of our own."""
    row = EpochResult.objects.filter(training_run=run, epoch_number=epoch).order_by("id").first()
    measured: list[tuple[str, Metrics]] = [
        (picture.original_name, picture.measures)
        for picture in AdoptedPicture.objects.filter(run=run, epoch=epoch).order_by("original_name")
        if picture.measures is not None and metrics.is_current(picture.measures)
    ]
    drawn = TestRender.objects.filter(checkpoint__run=run, checkpoint__epoch=epoch, status=Status.RENDERED)
    if row is None or not measured or drawn.exists():
        return None
    with transaction.atomic():
        row = EpochResult.objects.select_for_update().get(pk=row.pk)
        _write(row, measured, {})
        row.save(update_fields=_SUMMARY)
        _suggest(row, measured)
    return row


def is_behind(checkpoint: Checkpoint) -> bool:
    """Whether pictures were measured that the epoch's row does not speak of yet."""
    n_measured = (
        TestRender.objects.filter(checkpoint=checkpoint, status=Status.RENDERED).exclude(measures__isnull=True).count()
    )
    row = epoch_result_for(checkpoint) if n_measured else None
    return row is not None and (metrics_ours(row) or {}).get("n_pictures") != n_measured


def metrics_ours(row: EpochResult) -> Metrics | None:
    """The metrics that we measured of an epoch's pictures; None before there are any."""
    return metrics.ours(row.quantitative_metrics)


def issues_ours(row: EpochResult) -> list[dict[str, Any]] | None:
    """The issues that our measures found in an epoch's pictures; None before they are measured."""
    found = metrics.ours(row.diagnosed_issues)
    return None if found is None else list(found.get("issues", []))


def measured_flags(row: EpochResult) -> dict[str, bool]:
    """What the measures say in each mirrored column of an issue; False where they say nothing."""
    kinds = {issue["issue"] for issue in issues_ours(row) or []}
    return {flag: not kinds.isdisjoint(causes) for flag, causes in metrics.FLAGS.items()}


def measured_issue(row: EpochResult, issue: str) -> bool | None:
    """Whether the measures find the issue: under 70 percent of the pictures right. None: not measured."""
    share = (metrics_ours(row) or {}).get(_ISSUE_MEASURES[issue])
    return None if share is None else share < 100 * metrics.FAULTY_BELOW


def measured_pixel_art(row: EpochResult) -> bool | None:
    """Whether the measures find pixel art in most pictures; None: not measured."""
    share = (metrics_ours(row) or {}).get("pixel_art_purity")
    return None if share is None else share >= 100 * metrics.FAULTY_BELOW


def checkpoint_of(epoch_result: EpochResult) -> Checkpoint | None:
    """The file of an epoch; None when it is not registered here, as for most of the lab's past epochs."""
    return Checkpoint.objects.filter(run=epoch_result.training_run_id, epoch=epoch_result.epoch_number).first()


def suggestion(epoch_result: EpochResult) -> ScoreEntry | None:
    """The scores that the measures suggest now; None before the pictures are measured."""
    return epoch_result.score_entries.filter(source=ScoreEntry.Source.MACHINE).exclude(reasons=[]).first()


def _bring_up_to_date(result: PromptTestResult, before: Any, found: Metrics) -> None:
    """Write new checks over those that stand as the earlier measures left them."""
    written = metrics.checks_of(before)
    changed = []
    for name, value in metrics.checks_of(found).items():
        if getattr(result, name) == written.get(name) and getattr(result, name) != value:
            setattr(result, name, value)
            changed.append(name)
    if changed:
        result.save(update_fields=changed)


def _write(row: EpochResult, named: Sequence[tuple[str, Metrics]], repeats: Metrics) -> None:
    """Our metrics, issues and, unless a person's word stands there, flags."""
    now = timezone.now().isoformat(timespec="seconds")
    ours = metrics.metrics_of([found for _, found in named], now)
    issues = metrics.issues_of(named)
    flags_are_free = row.average is None or _measures_spoke(row)
    if repeats:
        ours["noise"] = repeats
    row.quantitative_metrics = metrics.beside_theirs(row.quantitative_metrics, ours)
    row.diagnosed_issues = metrics.beside_theirs(
        row.diagnosed_issues, {"measured_by": MEASURED_BY, "version": ours["version"], "issues": issues}
    )
    if flags_are_free:
        for flag, value in measured_flags(row).items():
            setattr(row, flag, value)


def _measures_spoke(row: EpochResult) -> bool:
    """Whether those who scored the epoch left its issues to the measures."""
    heard = voices.standing(row.score_entries.all())
    return bool(heard) and voices.said(heard, "issues") is None


def _suggest(row: EpochResult, named: Sequence[tuple[str, Metrics]]) -> None:
    means = (metrics_ours(row) or {})["means"]
    scores, source = suggestions.suggest(means)
    given = [score for score in scores.values() if score is not None]
    reasons = [source, *_reasons(named)]
    last = suggestion(row)
    if last and last.reasons == reasons and all(getattr(last, name) == score for name, score in scores.items()):
        return
    ScoreEntry.objects.create(
        epoch_result=row,
        source=ScoreEntry.Source.MACHINE,
        verdict=verdicts.verdict_for(sum(given) / len(given)) if len(given) == len(scores) else "",
        observations=f"Suggested from {len(named)} pictures.",
        reasons=reasons,
        **scores,
    )


def _reasons(named: Sequence[tuple[str, Metrics]]) -> Iterable[str]:
    for part in ("background", "hair"):
        judged = [found[part]["matches"] for _, found in named if found[part]["matches"] is not None]
        yield f"{part}: {sum(judged)} of {len(judged)} pictures in the asked colour"
    for name, found in named:
        for reason in found["suggested"]["reasons"]:
            if AS_ASKED not in reason:
                yield f"{name}: {reason}"
