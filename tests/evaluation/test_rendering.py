from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ
from PIL import Image

from evaluation import full_comparison, rendering, results, suite, tasks, weights
from evaluation.matrix import Question, matrix
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestRender
from evaluation.renderjob import ATTEMPTS, Status
from evaluation.requests import request_for
from evaluation.suite_models import SuitePrompt
from punklab.diffusion.renderer import Renderer, request_of, resident
from punklab.diffusion.request import RenderRequest
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint
from tests.factories import make_checkpoint, make_run

pytestmark = [pytest.mark.diffusion, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Pictures need not be good here."""
    monkeypatch.setattr("evaluation.suite.request_for", few(request_for))


def few(make):
    return lambda *args, **values: make(*args, steps=2, **values)


@pytest.fixture
def checkpoint():
    return make_checkpoint(epoch=2)


def paths_of(checkpoint):
    return {checkpoint.sha256: checkpoint.path}


def size_of(path):
    with Image.open(path) as image:
        return image.size


def statuses(checkpoint):
    return list(checkpoint.test_renders.order_by("priority").values_list("status", flat=True))


def test_a_suite_is_drawn_measured_and_summed_up_once(checkpoint, storage):
    SuitePrompt.objects.filter(position__gt=2).update(retired_at=timezone.now())
    assert suite.queue(checkpoint) == 6, "two prompts, three seeds"
    tasks.render_checkpoint(checkpoint.pk)
    renders = list(checkpoint.test_renders.order_by("priority"))
    assert {render.status for render in renders} == {Status.RENDERED}
    assert renders[0].request["batch_class"] == 1, "the quick picture is drawn alone, so that it is there at once"
    assert {render.request["batch_class"] for render in renders[1:]} != {1}
    assert renders[0].ended_at < min(render.ended_at for render in renders[1:])
    for render in renders:
        assert size_of(render.finished_path) == (24, 24)
        assert request_of(render.finished_path) == request_of(render.raw_path) == RenderRequest(**render.request)
        assert render.finished_path.is_relative_to(storage)
        assert render.seconds > 0
        assert render.measures["background"]["asked"]["hex"]
        assert render.result.correct_background_color == render.measures["background"]["matches"]
        assert (render.result.image_path, render.result.passed, render.result.score) == (
            str(render.finished_path),
            None,
            None,
        )
    row = EpochResult.objects.get()
    assert row.num_test_images == 6
    assert row.test_image_paths == [str(render.finished_path) for render in renders]
    assert (results.metrics_ours(row) or {})["n_pictures"] == 6
    assert (row.average, row.verdict) == (None, None), "a machine suggests and never scores"
    suggested = results.suggestion(row)
    assert suggested is not None
    assert suggested.reasons[0].startswith("suggested by rule: 0 epochs")
    assert suggested.reasons[1].startswith("background: ")
    tasks.render_checkpoint(checkpoint.pk)
    tasks.sweep()
    assert (PromptTestResult.objects.count(), ScoreEntry.objects.count()) == (6, 1)


def test_what_her_row_says_of_an_adopted_epoch_stays(checkpoint):
    hers = {"num_test_images": 4, "test_image_paths": ["/Users/owner/a.png"], "verdict": "good"}
    row = EpochResult.objects.create(
        training_run=checkpoint.run, epoch_number=2, quantitative_metrics={"background_accuracy": 1.6}, **hers
    )
    suite.queue(checkpoint, "quick")
    tasks.render_checkpoint(checkpoint.pk)
    row.refresh_from_db()
    assert {name: getattr(row, name) for name in hers} == hers
    assert (row.quantitative_metrics or {})["background_accuracy"] == 1.6
    assert (results.metrics_ours(row) or {})["n_pictures"] == 1


def test_what_a_dead_worker_drew_is_measured_by_the_sweep(checkpoint):
    suite.queue(checkpoint, "quick")
    pk = checkpoint.test_renders.get().pk
    assert rendering.render_rows(TestRender.objects.all(), [pk], paths_of(checkpoint)) == [pk]
    assert not PromptTestResult.objects.exists()
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert EpochResult.objects.get().num_test_images == 1
    assert checkpoint.test_renders.get().result is not None


def test_a_picture_that_vanished_before_it_was_measured_can_be_drawn_again(checkpoint):
    suite.queue(checkpoint, "quick")
    render = checkpoint.test_renders.get()
    rendering.render_rows(TestRender.objects.all(), [render.pk], paths_of(checkpoint))
    checkpoint.test_renders.get().raw_path.unlink()
    tasks.sweep()
    assert statuses(checkpoint) == [Status.ERRORED]
    assert suite.queue(checkpoint, "quick") == 1
    tasks.render_checkpoint(checkpoint.pk)
    assert checkpoint.test_renders.get().result is not None


def test_a_bad_row_fails_with_a_sentence_and_the_others_are_drawn(checkpoint):
    suite.queue(checkpoint, "medium")
    first, second, _ = checkpoint.test_renders.order_by("priority")
    TestRender.objects.filter(pk=first.pk).update(request=first.request | {"steps": 0})
    TestRender.objects.filter(pk=second.pk).update(request=second.request | {"lora_sha256": "0" * 64})
    tasks.render_checkpoint(checkpoint.pk)
    assert statuses(checkpoint) == [Status.FAILED, Status.FAILED, Status.RENDERED]
    messages = list(checkpoint.test_renders.order_by("priority").values_list("message", flat=True))
    assert "steps is 0" in messages[0]
    assert "no file for the LoRA" in messages[1]
    assert EpochResult.objects.get().num_test_images == 1


def test_an_altered_file_is_refused_before_anything_is_drawn(checkpoint):
    suite.queue(checkpoint, "quick")
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-1] + b"\x01")
    tasks.render_checkpoint(checkpoint.pk)
    render = checkpoint.test_renders.get()
    assert render.status == Status.FAILED
    assert "was altered" in render.message


def test_pictures_that_fail_in_a_batch_are_drawn_one_by_one(checkpoint, monkeypatch):
    draw = Renderer.render

    def too_much_at_once(renderer, requests, paths):
        if len(requests) > 1:
            raise RuntimeError("the device is full")
        return draw(renderer, requests, paths)

    monkeypatch.setattr(Renderer, "render", too_much_at_once)
    suite.queue(checkpoint, "medium")
    rendering.render_rows(
        TestRender.objects.all(), list(checkpoint.test_renders.values_list("pk", flat=True)), paths_of(checkpoint)
    )
    assert set(statuses(checkpoint)) == {Status.RENDERED}


def test_a_base_that_is_not_on_this_machine_leaves_the_row_queued_with_the_mend(checkpoint):
    suite.queue(checkpoint, "quick")
    render = checkpoint.test_renders.get()
    TestRender.objects.update(request=render.request | {"base": "stable-diffusion-v1-5/stable-diffusion-v1-5"})
    tasks.render_checkpoint(checkpoint.pk)
    render.refresh_from_db()
    assert (render.status, render.attempts) == (Status.QUEUED, 1)
    assert "manage.py doctor" in render.message


@pytest.mark.parametrize("place", ["evaluation.rendering.resident", "punklab.diffusion.renderer.Renderer.render"])
def test_a_crash_of_ours_leaves_the_row_queued_with_its_error(checkpoint, monkeypatch, place):
    def crash(*_arguments):
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(place, crash)
    suite.queue(checkpoint, "quick")
    tasks.render_checkpoint(checkpoint.pk)
    render = checkpoint.test_renders.get()
    assert render.status == Status.QUEUED
    assert "the driver is gone" in render.message


def test_a_full_disk_puts_the_row_back_until_its_attempts_are_spent(checkpoint, monkeypatch):
    def full(path, _content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(rendering, "write_whole", full)
    suite.queue(checkpoint, "quick")
    for attempt in range(1, ATTEMPTS + 1):
        tasks.render_checkpoint(checkpoint.pk)
        render = checkpoint.test_renders.get()
        assert render.status == (Status.ERRORED if attempt == ATTEMPTS else Status.QUEUED)
        assert "No space left on device" in render.message
    assert (render.raw, render.finished) == ("", "")


def test_a_cancelled_row_is_not_drawn(checkpoint):
    suite.queue(checkpoint, "quick")
    suite.cancel(checkpoint)
    tasks.render_checkpoint(checkpoint.pk)
    assert statuses(checkpoint) == [Status.CANCELLED]


def test_a_lone_row_keeps_the_batch_class_that_it_asks_for(checkpoint):
    suite.queue(checkpoint, "quick")
    render = checkpoint.test_renders.get()
    TestRender.objects.update(request=render.request | {"batch_class": 4})
    tasks.render_checkpoint(checkpoint.pk)
    assert checkpoint.test_renders.get().request["batch_class"] == 4


def test_a_long_suite_makes_room_for_its_successor(checkpoint, settings):
    suite.queue(checkpoint, "medium")
    OrmQ.objects.all().delete()
    settings.RENDER_TIMEOUT = 0.003
    assert "more to come" in tasks.render_checkpoint(checkpoint.pk)
    assert statuses(checkpoint).count(Status.RENDERED) == 1
    assert OrmQ.objects.get().task["args"] == (checkpoint.pk,)


def test_the_command_says_how_long_it_takes_then_draws_here(checkpoint):
    out = StringIO()
    call_command("test_epoch", checkpoint.run.run_name, "2", suite="quick", here=True, stdout=out)
    said = out.getvalue().splitlines()
    assert "1 picture, about 1 seconds (a first guess" in said[0]
    assert said[-1].endswith(str(checkpoint.test_renders.get().finished_path))
    with pytest.raises(CommandError, match="no epoch 9; it has 2"):
        call_command("test_epoch", checkpoint.run.run_name, "9")


def test_an_epoch_without_a_file_here_cannot_be_tested():
    run = make_run()
    EpochResult.objects.create(training_run=run, epoch_number=9)
    with pytest.raises(CommandError, match="adopt_files"):
        call_command("test_epoch", run.run_name, "9")


def test_the_comparison_sets_the_baseline_beside_the_epochs(checkpoint, tmp_path):
    later = make_checkpoint(run=checkpoint.run, epoch=3)
    best_before = make_checkpoint(run=make_run(run_name="perfect"), epoch=7)
    suite.queue(base_alone(base_for("miniature")), "medium")
    suite.queue(checkpoint, "medium")
    suite.queue(later, "quick")
    tasks.render_checkpoint(checkpoint.pk)
    found = matrix(Question(runs=[checkpoint.run]))
    assert [row.label for row in found.rows] == ["miniature without a LoRA", "epoch 2", "epoch 3"]
    drawn = [[bool(cell and cell.finished) for cell in row.cells] for row in found.rows]
    assert drawn == [[False] * 3, [True] * 3, [False] * 3]
    out = StringIO()
    call_command(
        "compare", checkpoint.run.run_name, "2", "--beside", "perfect", "7", sheet=tmp_path / "sheet.png", stdout=out
    )
    assert f"{best_before}: 0 of 3 pictures\nepoch 2: 3 of 3 pictures, background" in out.getvalue()
    for drawn in checkpoint.test_renders.all():  # as if the base had drawn the same
        same = TestRender.objects.filter(checkpoint__source=Checkpoint.Source.BASE, test_prompt=drawn.test_prompt)
        same.update(status=drawn.status, finished=drawn.finished, measures=drawn.measures)
    again = StringIO()
    call_command("compare", checkpoint.run.run_name, "2", stdout=again)
    base_line, own_line = again.getvalue().splitlines()
    assert base_line.partition(": ")[2] == own_line.partition(": ")[2]
    assert size_of(tmp_path / "sheet.png") == (240 + 3 * 104 + 8, 40 + 3 * 104 + 8)


@pytest.mark.usefixtures("six_prompts")
def test_a_full_comparison_is_drawn_with_the_weights_and_at_nought_a_lora_changes_not_a_byte(checkpoint):
    base = base_alone(base_for("miniature"))
    job = full_comparison.start(checkpoint.run, None)
    weights.queue(checkpoint, [0.0, 0.5, 1.0])
    for each in (base, checkpoint):
        tasks.render_checkpoint(each.pk)
    stands = full_comparison.progress(job)
    assert (stands.drawn, stands.waiting, stands.is_whole) == (12, 0, True)
    row = EpochResult.objects.get()
    assert row.num_test_images == 6, "pictures at other weights do not count"
    assert (results.metrics_ours(row) or {})["n_pictures"] == 6
    found = matrix(Question(runs=[checkpoint.run], weight=None))
    assert [line.title for line in found.rows] == [str(base), "epoch 2 at 0", "epoch 2 at 0.5", "epoch 2"]
    at_nought, half, whole = ([Path(cell.raw) for cell in line.cells] for line in found.rows[1:])
    assert at_nought == [Path(cell.raw) for cell in found.rows[0].cells], "the base's own files"
    for row in checkpoint.weight_renders.all():
        assert request_of(row.raw_path) == RenderRequest(**row.request)
        assert size_of(row.finished_path) == (24, 24)
    drawn = {
        name: [(settings.STORAGE_DIR / path).read_bytes() for path in paths]
        for name, paths in (("nought", at_nought), ("half", half), ("whole", whole))
    }
    assert all(len({*three}) == 3 for three in zip(*drawn.values(), strict=True)), "each weight is another picture"
    first = base.test_renders.order_by("priority").first()
    asked = replace(RenderRequest(**first.request), lora_sha256=checkpoint.sha256, lora_weight=0.0)
    (with_lora,) = resident(base_for("miniature"), "cpu").render([asked], paths_of(checkpoint))
    with Image.open(str(first.raw_path)) as without:
        assert with_lora.raw.tobytes() == without.convert("RGB").tobytes(), "merging at 0 leaves the base as it is"
