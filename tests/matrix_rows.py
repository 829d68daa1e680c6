"""Runs with drawn pictures, for the tests and the bench of the matrix. No picture is rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from django.conf import settings

from evaluation import suite
from evaluation.matrix_models import WeightRender
from evaluation.models import EpochResult, PromptTestResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from runs.bases import base_for
from runs.models import Checkpoint, TrainingRun
from tests.factories import make_png, make_run

SEED = 42


def drawn_run(
    epochs: int = 2, prompts: Sequence[TestPrompt] | None = None, *, files: bool = True, **overrides
) -> TrainingRun:
    """A run whose every epoch has a picture of every prompt of the suite, with a result of its own."""
    run = make_run(**overrides)
    prompts = suite_prompts() if prompts is None else prompts
    results = EpochResult.objects.bulk_create(
        EpochResult(training_run=run, epoch_number=epoch, num_test_images=len(prompts))
        for epoch in range(1, epochs + 1)
    )
    checkpoints = Checkpoint.objects.bulk_create(
        Checkpoint(
            run=run,
            epoch=result.epoch_number,
            file="x",
            sha256=sha256(f"{run.pk} {result.epoch_number}"),
            base_model="miniature",
            source=Checkpoint.Source.TRAINED,
        )
        for result in results
    )
    judged = PromptTestResult.objects.bulk_create(
        PromptTestResult(epoch_result=result, test_prompt=prompt, correct_hair_color=False, is_pixel_art=True)
        for result in results
        for prompt in prompts
    )
    TestRender.objects.bulk_create(
        render
        for place, checkpoint in enumerate(checkpoints)
        for render in renders(checkpoint, prompts, judged[place * len(prompts) :], files=files)
    )
    return run


def drawn_base(prompts: Sequence[TestPrompt] | None = None, *, files: bool = True) -> Checkpoint:
    """The miniature without a LoRA, its pictures drawn."""
    base = base_for("miniature")
    checkpoint = Checkpoint.objects.create(
        source=Checkpoint.Source.BASE, base_model=base.name, base_fingerprint=base.fingerprint
    )
    found = suite_prompts() if prompts is None else prompts
    TestRender.objects.bulk_create(renders(checkpoint, found, [None] * len(found), files=files))
    return checkpoint


def suite_prompts() -> list[TestPrompt]:
    return [place.test_prompt for place in suite.prompts()]


def renders(
    checkpoint: Checkpoint,
    prompts: Sequence[TestPrompt],
    results: Sequence[PromptTestResult | None],
    *,
    seed: int = SEED,
    files: bool = True,
) -> Iterable[TestRender]:
    """Unsaved test renders of one checkpoint; their files are there when `files`."""
    for place, (prompt, result) in enumerate(zip(prompts, results, strict=False)):
        digest = sha256(f"{checkpoint.pk} {prompt.pk} {seed}")
        raw, finished = _files(digest, files)
        yield TestRender(
            checkpoint=checkpoint,
            test_prompt=prompt,
            request={"prompt": prompt.prompt_text, "seed": seed, "lora_weight": 1.0},
            digest=digest,
            status=Status.RENDERED,
            priority=place,
            is_repeat=seed != SEED,
            result=result,
            raw=raw,
            finished=finished,
        )


def at_weight(checkpoint: Checkpoint, prompt: TestPrompt, weight: float) -> WeightRender:
    """A picture of the prompt at another weight, drawn."""
    digest = sha256(f"{checkpoint.pk} {prompt.pk} {weight}")
    raw, finished = _files(digest, True)
    return WeightRender.objects.create(
        checkpoint=checkpoint,
        test_prompt=prompt,
        lora_weight=weight,
        request={"prompt": prompt.prompt_text, "seed": SEED, "lora_weight": weight},
        digest=digest,
        status=Status.RENDERED,
        raw=raw,
        finished=finished,
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files(digest: str, files: bool) -> tuple[str, str]:
    names = f"renders/{digest[:16]}-raw.png", f"renders/{digest[:16]}-24.png"
    for name, side in zip(names, (96, 24), strict=True):
        path = Path(settings.STORAGE_DIR) / name
        if files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(make_png(int(digest[:8], 16), side))
    return names
