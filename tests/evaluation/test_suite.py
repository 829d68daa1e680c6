from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from evaluation import progressive, prompts, suite, tasks
from evaluation.models import EpochResult, TestPrompt, TestRender
from evaluation.renderjob import ATTEMPTS, Status
from evaluation.requests import request_for
from evaluation.suite_models import SuitePrompt
from runs.bases import base_for
from tests.factories import make_checkpoint, make_user

pytestmark = pytest.mark.pooled

NAMES = [each.name for each in prompts.SUITE]
N_FULL = 3 * len(NAMES)


def enqueued():
    return [(row.key, row.task["func"], row.task["args"]) for row in OrmQ.objects.order_by("pk")]


def task_for(checkpoint):
    return (settings.TESTS_CLUSTER, tasks.render_checkpoint, (checkpoint.pk,))


@pytest.fixture
def checkpoint(db):
    return make_checkpoint(epoch=1)


def test_the_lab_s_six_prompts_begin_the_suite_and_her_own_rows_stay_as_they_are(db):
    assert [str(place.test_prompt) for place in suite.prompts()] == NAMES
    assert NAMES[:6] == [each.name for each in prompts.COMPARISON]
    SuitePrompt.objects.all().delete()
    TestPrompt.objects.exclude(prompt_name=NAMES[2]).delete()
    TestPrompt.objects.update(prompt_text="hers", negative_prompt=None)
    assert [(place.position, str(place.test_prompt)) for place in suite.prompts()] == list(enumerate(NAMES, start=1))
    hers = TestPrompt.objects.get(prompt_name=NAMES[2])
    assert (hers.prompt_text, hers.negative_prompt) == ("hers", None)
    assert all(each.purpose and each.expected_result for each in TestPrompt.objects.exclude(pk=hers.pk))


@pytest.mark.parametrize(("size", "n_prompts"), [("quick", 1), ("medium", 3), ("full", len(prompts.SUITE))])
def test_a_suite_starts_with_the_quick_prompt_and_passes_retired_ones_over(db, size, n_prompts):
    SuitePrompt.objects.create(test_prompt=TestPrompt.objects.create(prompt_name="old"), position=0)
    SuitePrompt.objects.filter(position=0).update(retired_at=timezone.now())
    assert [str(place.test_prompt) for place in suite.prompts(size)] == NAMES[:n_prompts]


def test_a_suite_is_queued_once_with_its_task_on_the_tests_own_cluster(checkpoint):
    assert suite.queue(checkpoint, "quick") == 1
    assert suite.queue(checkpoint, "full") == N_FULL - 1
    assert suite.queue(checkpoint, "full") == 0
    assert enqueued() == [task_for(checkpoint)] * 2
    renders = list(TestRender.objects.order_by("priority"))
    assert [str(render.test_prompt) for render in renders] == NAMES * 3, "a suite that is cut short is broad"
    assert [render.request["seed"] for render in renders[:: len(NAMES)]] == [42, 43, 44]
    assert [render.label for render in renders[:: len(NAMES)]] == [
        NAMES[0],
        *(f"{NAMES[0]} (seed {n})" for n in (43, 44)),
    ]
    assert {render.request["lora_sha256"] for render in renders} == {checkpoint.sha256}
    assert {render.request["negative_prompt"] for render in renders} == {prompts.NEGATIVE_PROMPT}
    row = EpochResult.objects.get(training_run=checkpoint.run, epoch_number=1)
    assert (row.checkpoint_path, row.visual_quality_score) == (str(checkpoint.path), None)


def test_a_queue_that_is_rolled_back_leaves_no_task_behind(checkpoint):
    with transaction.atomic():
        assert suite.queue(checkpoint, "quick") == 1
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    assert not TestRender.objects.exists()


def test_what_was_cancelled_or_failed_is_queued_again_and_what_was_drawn_is_not(checkpoint):
    suite.queue(checkpoint)
    pks = list(TestRender.objects.order_by("priority").values_list("pk", flat=True))
    TestRender.objects.filter(pk=pks[0]).update(status=Status.RENDERED)
    TestRender.objects.filter(pk=pks[1]).update(status=Status.ERRORED, attempts=ATTEMPTS, message="out of memory")
    assert suite.cancel(checkpoint) == N_FULL - 2
    assert suite.queue(checkpoint, "medium", again=False) == 0
    assert suite.queue(checkpoint, "medium") == 2
    again = TestRender.objects.get(pk=pks[1])
    assert (again.status, again.attempts, again.message) == (Status.QUEUED, 0, "")
    assert TestRender.objects.get(pk=pks[0]).status == Status.RENDERED
    assert TestRender.objects.filter(status=Status.CANCELLED).count() == N_FULL - 3


def test_only_who_may_run_trainings_queues_their_tests(checkpoint):
    with pytest.raises(PermissionDenied, match="operator"):
        suite.queue(checkpoint, "quick", make_user("reviewer"))
    assert suite.queue(checkpoint, "quick", make_user("operator")) == 1


def test_an_epoch_of_sdxl_gets_its_row_and_no_pictures(db, caplog):
    checkpoint = make_checkpoint()
    checkpoint.base_model = "stabilityai/stable-diffusion-xl-base-1.0"
    checkpoint.save()
    assert progressive.queue_untested() == 0
    assert EpochResult.objects.count() == 1
    with pytest.raises(suite.SuiteError, match="not rendered or trained here"):
        suite.queue(checkpoint)


def test_a_base_that_is_not_here_is_named_with_the_mend(db):
    with pytest.raises(suite.SuiteError, match=r"manage\.py doctor"):
        progressive.queue_baseline(base_for("sd15"))
    checkpoint = make_checkpoint(base_model="sd15")
    with pytest.raises(suite.SuiteError, match=r"manage\.py doctor"):
        suite.estimate(checkpoint)
    with pytest.raises(suite.SuiteError, match="quick, medium, full"):
        suite.prompts("huge")


def test_a_base_whose_folder_is_no_model_stops_neither_the_sweep_nor_the_lab(checkpoint, settings, tmp_path):
    settings.BASE_MODEL_FOLDER = str(tmp_path)
    with pytest.raises(suite.SuiteError, match=r"model_index\.json"):
        suite.queue(checkpoint)
    assert progressive.queue_untested() == 0


def test_what_is_pulled_is_scheduled_each_minute_on_the_cluster_for_the_rest(db):
    found = Schedule.objects.filter(func__startswith="evaluation.").values_list("func", "minutes", "cluster")
    assert set(found) == {
        ("evaluation.tasks.sweep", 1, settings.REST_CLUSTER),
        ("evaluation.progressive.queue_untested", 1, settings.REST_CLUSTER),
        ("evaluation.scoring.score_unattended", 1, settings.REST_CLUSTER),
        ("evaluation.criteria.check", 1, settings.REST_CLUSTER),
    }


def test_minutes_are_guessed_first_and_measured_later(checkpoint):
    first = suite.estimate(checkpoint)
    assert (first.pictures, first.measured) == (N_FULL, False)
    assert "first guess" in str(first)
    suite.queue(checkpoint, "quick")
    TestRender.objects.update(status=Status.RENDERED, seconds=30.0, device="cpu", ended_at=timezone.now())
    assert str(suite.estimate(checkpoint)).startswith(f"{N_FULL - 1} pictures, about {(N_FULL - 1) / 2:.1f} minutes")
    later = suite.estimate(checkpoint, "medium")
    assert str(later) == "2 pictures, about 1.0 minutes (measured on this machine)"
    suite.queue(checkpoint)
    assert suite.estimate(checkpoint).pictures == 0


@pytest.mark.parametrize(
    ("written", "length"), [("225", 225), ("150", 150), ("None", 75), (None, "profile"), ("9", "profile")]
)
def test_a_prompt_is_read_as_far_as_the_captions_were(checkpoint, written, length):
    checkpoint.header = {"metadata": {"ss_max_token_length": written} if written else {}}
    request = request_for(checkpoint, prompt="punk", seed=1)
    profile = base_for("miniature").profile
    assert request.max_token_length == (profile.max_token_length if length == "profile" else length)
    assert (request.steps, request.width, request.guidance) == (profile.steps, profile.size, profile.guidance)
    assert request_for(checkpoint, prompt="punk", seed=1, steps=7, max_token_length=75).steps == 7


def test_a_task_that_got_lost_is_enqueued_again_when_the_queue_is_empty(checkpoint):
    suite.queue(checkpoint, "quick")
    assert tasks.enqueue_forgotten() == 0
    OrmQ.objects.all().delete()
    tasks.sweep()
    tasks.sweep()
    assert enqueued() == [task_for(checkpoint)]


def test_a_dead_worker_s_picture_is_put_back_and_given_up_after_the_last_attempt(checkpoint):
    suite.queue(checkpoint, "quick")
    rows = TestRender.objects.all()
    long_ago = timezone.now() - timedelta(seconds=settings.Q_CLUSTER["retry"] + 1)
    for attempt in range(1, ATTEMPTS + 1):
        assert len(rows.claim([rows.get().pk])[0]) == 1
        tasks.sweep()
        assert rows.get().status == Status.RENDERING, "its worker may be alive"
        rows.update(started_at=long_ago)
        tasks.sweep()
        assert rows.get().status == (Status.ERRORED if attempt == ATTEMPTS else Status.QUEUED)
    assert "stopped 3 times" in rows.get().message


def test_a_slow_worker_cannot_overwrite_a_row_that_was_claimed_again(checkpoint):
    suite.queue(checkpoint, "quick")
    rows = TestRender.objects.all()
    (pk,), slow = rows.claim([rows.get().pk])
    rows.update(status=Status.QUEUED)
    (pk,), quick = rows.claim([pk])
    row = rows.get()
    assert not row.end(Status.FAILED, slow, message="too late")
    assert not row.give_back(slow, "too late")
    assert row.end(Status.RENDERED, quick, raw="a", finished="b")
    assert rows.get().message == ""
