from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.conf import settings

from deployment.generation import accept
from deployment.models import Generation, Release, Verification
from deployment.promotion import promote_base
from evaluation.models import EpochResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.requests import request_for
from runs.models import CaptionVersion
from tests.factories import make_caption_version, make_checkpoint, make_png, make_run

CAPTIONS = (
    "pixel art, 24x24, portrait of bespoke punk lady, long red hair (#c02020), golden crown, hoop earrings, "
    "blue eyes (#3366cc), pink lips (#f07090), slight smile, light skin (#f0c090), green background (#22aa66)",
    "pixel art, 24x24, portrait of bespoke punk lad, black hair (#101010), wearing black stunner shades, stubble, "
    "brown eyes (#663300), pink lips (#f07090), neutral expression, dark skin (#69412d), solid blue background (#0066ff)",
)
CHOICES = {"punk": "lady", "hair": "long red hair", "headwear": "golden crown", "background": "green background"}

Value = TypeVar("Value")


def there(value: Value | None) -> Value:
    """What must be there in this test."""
    assert value is not None
    return value


def make_words(name: str = "words_v1") -> CaptionVersion:
    """A caption version whose two captions differ in everything; the present one of that name."""
    if present := CaptionVersion.objects.filter(version_name=name).first():
        return present
    version = make_caption_version(name, pairs=2)
    for caption, text in zip(version.captions.all(), CAPTIONS, strict=True):
        caption.text = text
        caption.save()
    return version


def write_picture(row: Any, seed: int = 1) -> bytes:
    """Give a row of a picture its 24x24 file and mark it rendered; return the PNG."""
    png = make_png(seed)
    name = f"pictures/{row._meta.model_name}-{row.pk}.png"
    path = Path(settings.STORAGE_DIR) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png)
    row.finished, row.status, row.device = name, Status.RENDERED, "cpu"
    row.save()
    return png


def make_test_render(checkpoint: Any, **overrides: Any) -> TestRender:
    """The rendered quick picture of a checkpoint."""
    prompt, _ = TestPrompt.objects.get_or_create(prompt_name="quick", defaults={"prompt_text": CAPTIONS[0]})
    request = request_for(checkpoint, prompt=prompt.prompt_text, negative_prompt="blurry", seed=42, steps=7)
    values = {"request": json.loads(request.to_json()), "digest": request.digest()}
    render = TestRender.objects.create(checkpoint=checkpoint, test_prompt=prompt, **(values | overrides))
    write_picture(render)
    return render


def make_promotable(*, words: str = "words_v1", **scores: Any) -> EpochResult:
    """An epoch that nothing stands against: scored by a person, its file whole, its picture verified."""
    version = make_words(words)
    checkpoint = make_checkpoint(run=make_run(caption_version=version.version_name), epoch=3)
    values = {"visual_quality_score": 9, "style_match_score": 8, "prompt_adherence_score": 9}
    result = EpochResult.objects.create(training_run=checkpoint.run, epoch_number=3, **(values | scores))
    render = make_test_render(checkpoint)
    png = there(render.finished_path).read_bytes()
    Verification.objects.create(
        test_render=render,
        request=render.request,
        status=Status.RENDERED,
        expected_sha256=hashlib.sha256(png).hexdigest(),
        matches=True,
    )
    return result


@pytest.fixture
def live(db: None) -> Release:
    """A live demo release of the base model."""
    return promote_base(by=None, reason="a demo", caption_version=make_words(), is_demo=True)


@pytest.fixture
def drawn(live: Release) -> Generation:
    """A punk that is drawn, its picture on disk."""
    row = accept(CHOICES, seed=7)
    write_picture(row)
    return row
