from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django_q.models import OrmQ
from PIL import Image

from deployment import tasks
from deployment.generation import accept
from deployment.models import Release, Verification
from deployment.promotion import promote, request_verification
from evaluation import scoring, suite
from evaluation.models import TestRender
from evaluation.renderjob import Status
from evaluation.tasks import render_checkpoint
from punklab.diffusion.renderer import request_of
from punklab.diffusion.request import RenderRequest
from runs.models import Checkpoint
from tests.deployment.conftest import CHOICES, make_words, there
from tests.factories import make_checkpoint, make_run

pytestmark = [pytest.mark.django_db, pytest.mark.diffusion]


@pytest.fixture
def judged():
    """An epoch with its quick picture drawn and a person's scores."""
    checkpoint = make_checkpoint(run=make_run(caption_version=make_words().version_name), epoch=2)
    suite.queue(checkpoint, "quick")
    render_checkpoint(checkpoint.pk)
    result = scoring.find_epoch(there(checkpoint.run).run_name, 2)
    return scoring.score(result, 9, 9, 8, by=None, issues=[])


def test_a_wish_is_drawn_as_asked_and_delivering_it_twice_changes_nothing(live):
    row = accept(CHOICES, seed=7)
    tasks.draw(row.pk)
    row.refresh_from_db()
    assert row.status == Status.RENDERED, row.message
    with Image.open(there(row.finished_path)) as picture:
        assert picture.size == (24, 24)
    request = request_of(there(row.finished_path))
    assert request == RenderRequest.from_json(json.dumps(row.request))
    assert (request.prompt, request.seed, request.batch_class) == (row.prompt, 7, 1)
    before = (row.ended_at, there(row.finished_path).read_bytes())
    tasks.draw(row.pk)
    row.refresh_from_db()
    assert (row.ended_at, there(row.finished_path).read_bytes()) == before


def test_the_same_wish_with_the_same_seed_gives_the_same_bytes(live):
    rows = [accept(CHOICES, seed=7), accept(CHOICES | {"hair": "black hair"}, seed=8), accept(CHOICES, seed=7)]
    for row in rows:
        tasks.draw(row.pk)
        row.refresh_from_db()
    first, other, again = (there(row.finished_path).read_bytes() for row in rows)
    assert first == again
    assert first != other


def test_a_fault_of_ours_queues_the_punk_again(live, monkeypatch):
    row = accept(CHOICES)
    OrmQ.objects.all().delete()
    monkeypatch.setattr("evaluation.rendering.write_whole", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    tasks.draw(row.pk)
    row.refresh_from_db()
    assert (row.status, "disk full" in row.message) == (Status.QUEUED, True)
    assert OrmQ.objects.count() == 1


def test_an_epoch_whose_picture_comes_out_the_same_is_promoted_and_draws(judged):
    row = request_verification(judged, by=None)
    tasks.verify(row.pk)
    row.refresh_from_db()
    assert (row.matches, row.message) == (True, "The same bytes.")
    release = promote(judged, by=None, reason="verified")
    punk = accept(CHOICES, seed=3)
    tasks.draw(punk.pk)
    punk.refresh_from_db()
    assert punk.status == Status.RENDERED, punk.message
    assert punk.request["lora_sha256"] == release.checkpoint.sha256


def test_a_picture_that_comes_out_otherwise_is_told(judged):
    render = TestRender.objects.get()
    picture = Image.open(there(render.finished_path)).convert("RGB")
    picture.putpixel((3, 3), (1, 2, 3))
    picture.save(there(render.finished_path))
    row = request_verification(judged, by=None)
    tasks.verify(row.pk)
    row.refresh_from_db()
    assert row.matches is False
    assert "other bytes" in row.message


def test_the_command_verifies_by_itself_and_says_what_is_live(judged):
    out = StringIO()
    call_command("promote", judged.training_run.run_name, "2", reason="best so far", stdout=out)
    release = there(Release.objects.live())
    assert f"Release {release.pk} is live" in out.getvalue()
    assert Verification.objects.get().matches
    assert not OrmQ.objects.filter(key="tests", payload__contains="verify").exists()


def test_the_command_refuses_a_file_that_was_altered_after_judging(judged):
    checkpoint = Checkpoint.objects.get(epoch=2)
    path = there(checkpoint.path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CommandError) as refused:
        call_command("promote", judged.training_run.run_name, "2", reason="please", stdout=StringIO())
    assert "altered" in str(refused.value)
    assert Release.objects.live() is None
