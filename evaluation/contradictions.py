"""Rows of the lab's history that contradict themselves, or the pictures and results they belong to: sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from evaluation import metrics, results, verdicts
from evaluation.models import EpochResult, PromptTestResult
from runs.models import AdoptedPicture, TrainingRun

_FLAG_WORDS = {
    "has_wrong_backgrounds": "backgrounds are wrong",
    "has_random_pixels": "there are random pixels",
    "has_wrong_colors": "colours are wrong",
    "is_photorealistic": "it is photorealistic",
}
_CHECK_WORDS = {
    "correct_background_color": "its background is as asked",
    "correct_hair_color": "its hair is as asked",
    "correct_eye_color": "its eyes are as asked",
    "is_pixel_art": "it is pixel art",
}


def find() -> list[str]:
    """Every contradiction in the rows, run by run; a few queries over all of them."""
    epochs: dict[int | None, list[EpochResult]] = defaultdict(list)
    for row in EpochResult.objects.select_related("training_run").order_by("training_run", "epoch_number"):
        epochs[row.training_run_id].append(row)
    found = [sentence for run in TrainingRun.objects.order_by("pk") for sentence in _of_run(run, epochs[run.pk])]
    for rows in epochs.values():
        for row in rows:
            found += _of_epoch(row)
    return [*found, *_of_results()]


def _of_run(run: TrainingRun, rows: list[EpochResult]) -> Iterator[str]:
    scored = [(row.epoch_number, row.average) for row in rows if row.average is not None]
    numbers = {row.epoch_number for row in rows}
    if run.best_epoch is not None and rows and run.best_epoch not in numbers:
        yield f"{run}: best_epoch is {run.best_epoch}, but it has no row; there are {_listed(numbers)}"
    elif run.best_epoch is not None and len(scored) > 1:
        best = max(average for _, average in scored)
        leading = {number for number, average in scored if average == best}
        if run.best_epoch not in leading:
            yield f"{run}: best_epoch is {run.best_epoch}, but epoch {_listed(leading)} has the best average, {best:.1f}"
    if run.quality_score is not None and scored:
        best = max(average for _, average in scored)
        if abs(run.quality_score - best) > 1:
            yield f"{run}: quality_score is {run.quality_score}, but its best epoch averages {best:.1f}"
    if run.production_ready and rows and not any(row.production_ready for row in rows):
        yield f"{run}: production_ready, but none of its epochs is"


def _of_epoch(row: EpochResult) -> Iterator[str]:
    if row.average is not None and row.verdict:
        expected = verdicts.verdict_for(row.average)
        fits = row.verdict == expected or (row.verdict == "failure" and expected == verdicts.SKIP)
        if not fits:
            yield f"{row}: its verdict is {row.verdict}, but its scores average {row.average:.1f}, which is {expected}"
    named = row.test_image_paths or []
    if row.num_test_images is not None and named and row.num_test_images != len(named):
        yield f"{row}: num_test_images is {row.num_test_images}, but {len(named)} pictures are named"
    measured = metrics.ours(row.quantitative_metrics)
    if measured is None:
        return
    kinds = {issue["issue"] for issue in results.issues_ours(row) or ()}
    for flag, words in _FLAG_WORDS.items():
        seen = not kinds.isdisjoint(metrics.FLAGS[flag])
        if bool(getattr(row, flag)) != seen and row.average is not None and _is_told(flag, measured):
            yield f"{row}: the row says {_not(words, bool(getattr(row, flag)))}, its {measured['n_pictures']} pictures {_not(words, seen)}"
    purity = measured.get("pixel_art_purity")
    strengths = " ".join(row.strengths_detail or ())
    if purity is not None and purity < 50 and "pixel_art" in strengths:
        yield f"{row}: its strengths name pixel art, but {purity:.0f} % of its pictures are"


def _of_results() -> Iterator[str]:
    """What a prompt test result says against what the adopted picture that it names measures."""
    measured = {
        (picture.run_id, picture.epoch, picture.original_name): picture.measures
        for picture in AdoptedPicture.objects.exclude(measures=None)
        if metrics.is_current(picture.measures)
    }
    rows = PromptTestResult.objects.filter(render=None, epoch_result__isnull=False).select_related(
        "epoch_result__training_run", "test_prompt"
    )
    for row in rows:
        assert row.epoch_result is not None
        name = (row.image_path or "").replace("\\", "/").rsplit("/", 1)[-1]
        seen = measured.get((row.epoch_result.training_run_id or 0, row.epoch_result.epoch_number, name))
        checks = metrics.checks_of(seen) if seen else {}
        for field, words in _CHECK_WORDS.items():
            said, found = getattr(row, field), checks.get(field)
            if said is not None and found is not None and said != found:
                yield f"{row}: the row says {_not(words, said)}, the picture {name} {_not(words, found)}"


def _is_told(flag: str, measured: metrics.Metrics) -> bool:
    """Whether the pictures can say something of a flag: without known prompts nothing is known of colours."""
    if flag == "has_wrong_backgrounds":
        return "background" in measured["means"]
    if flag == "has_wrong_colors":
        return "hair" in measured["means"] or "skin" in measured["means"]
    return True


def _not(words: str, is_so: bool) -> str:
    return f"that {words}" if is_so else f"that it is not so that {words}"


def _listed(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
