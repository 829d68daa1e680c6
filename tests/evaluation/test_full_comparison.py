from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from deployment import releases
from deployment.traits import Traits
from evaluation import full_comparison, suite, tasks
from evaluation.matrix_models import ComparedPicture, FullComparison
from evaluation.models import TestRender
from evaluation.renderjob import Status
from evaluation.requests import request_for
from runs.bases import base_for
from runs.checkpoints import base_alone
from tests.factories import make_caption_version, make_checkpoint, make_run, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled, pytest.mark.usefixtures("six_prompts")]


@pytest.fixture
def run():
    """A run of two epochs, nothing drawn yet."""
    made = make_run(run_name="compared")
    for epoch in (1, 2):
        make_checkpoint(run=made, epoch=epoch)
    return made


@pytest.fixture
def best_before():
    return make_checkpoint(run=make_run(run_name="perfect"), epoch=7)


def act_of(run, name: str = "full-comparison") -> str:
    return reverse("admin:runs_trainingrun_act", args=(run.pk, name))


def put_live(checkpoint):
    request = request_for(checkpoint, prompt="a punk", seed=1)
    release = releases.drawn_like(request, checkpoint, make_caption_version(), Traits({}))
    release.reason = "a test"
    return releases.put_live(release)


def draw(n: int, status: Status = Status.RENDERED, **facts) -> None:
    """As if a worker had drawn so many of the queued pictures."""
    pks = TestRender.objects.filter(status=Status.QUEUED).order_by("pk").values_list("pk", flat=True)[:n]
    TestRender.objects.filter(pk__in=list(pks)).update(status=status, seconds=2.0, device="cpu", **facts)


def test_it_queues_base_baseline_and_every_epoch_with_the_whole_suite_once(run, best_before):
    suite.queue(run.checkpoints.get(epoch=1), suite.Size.MEDIUM)
    by = make_user("operator")
    job = full_comparison.start(run, by, [best_before])
    assert (job.run, job.by, job.cancelled_at) == (run, by, None)
    base = base_alone(base_for("miniature"))
    for checkpoint in (base, best_before, *run.checkpoints.all()):
        assert job.pictures.filter(render__checkpoint=checkpoint).count() == 6
    assert job.pictures.filter(queued_here=False).count() == 3, "those that the suite had queued"
    assert TestRender.objects.count() == 24
    again = full_comparison.start(run, by, [best_before])
    assert again == job, "one that draws is brought up to date, not doubled"
    assert (FullComparison.objects.count(), ComparedPicture.objects.count(), TestRender.objects.count()) == (1, 24, 24)


def test_an_epoch_that_was_trained_meanwhile_joins_and_what_failed_is_tried_again(run):
    job = full_comparison.start(run, None)
    draw(1, Status.FAILED, message="the LoRA was altered")
    make_checkpoint(run=run, epoch=3)
    assert full_comparison.start(run, None) == job
    stands = full_comparison.progress(job)
    assert (stands.total, stands.waiting, stands.failed) == (24, 24, 0)


def test_progress_counts_what_is_drawn_how_long_it_takes_and_why_pictures_failed(run, django_assert_max_num_queries):
    job = full_comparison.start(run, None)
    draw(4)
    draw(2, Status.ERRORED, message="The disk is full.")
    with django_assert_max_num_queries(4):
        stands = full_comparison.progress(job)
    assert (stands.total, stands.drawn, stands.waiting, stands.failed) == (18, 4, 12, 2)
    assert stands.share == pytest.approx(6 / 18)
    assert (stands.left.seconds, stands.left.measured) == (24.0, True)
    assert list(stands.reasons) == ["The disk is full."]
    draw(12)
    stands = full_comparison.progress(job)
    assert (stands.waiting, stands.left, stands.is_whole) == (0, None, False)
    assert full_comparison.unfinished(run) is None


def test_a_cancelled_one_leaves_the_pictures_of_others_alone_and_is_taken_up_where_it_stopped(run, best_before):
    first = run.checkpoints.get(epoch=1)
    suite.queue(first)
    other = full_comparison.start(best_before.run, None)
    by = make_user("operator")
    job = full_comparison.start(run, by)
    drawn = TestRender.objects.filter(checkpoint__run=run, checkpoint__epoch=2).order_by("pk").first()
    TestRender.objects.filter(pk=drawn.pk).update(status=Status.RENDERED)
    assert full_comparison.cancel(job, by) == 5, "what is left of epoch 2"
    job.refresh_from_db()
    assert (job.cancelled_by, job.cancelled_at is None) == (by, False)
    assert set(first.test_renders.values_list("status", flat=True)) == {Status.QUEUED}, "the suite's"
    assert not other.pictures.exclude(render__status=Status.QUEUED).exists(), "the base, for the other comparison"
    stands = full_comparison.progress(job)
    assert (stands.drawn, stands.waiting, stands.cancelled) == (1, 0, 5)
    assert full_comparison.cancel(job, by) == 0
    resumed = full_comparison.start(run, by)
    assert resumed != job
    assert full_comparison.latest(run) == resumed
    stands = full_comparison.progress(resumed)
    assert (stands.drawn, stands.waiting) == (1, 17)
    drawn.refresh_from_db()
    assert drawn.status == Status.RENDERED


def test_what_another_runs_comparison_needs_too_stays_queued_and_what_the_runs_own_earlier_one_needed_does_not(
    run, best_before
):
    base = base_alone(base_for("miniature"))
    earlier = full_comparison.start(run, None)
    draw(18, Status.FAILED)
    job = full_comparison.start(run, None)
    assert job != earlier
    assert full_comparison.cancel(job, None) == 18
    job = full_comparison.start(run, None)
    full_comparison.start(best_before.run, None)
    assert full_comparison.cancel(job, None) == 12
    assert set(base.test_renders.values_list("status", flat=True)) == {Status.QUEUED}


def test_a_killed_worker_costs_no_more_than_its_picture(run, settings):
    job = full_comparison.start(run, None)
    one = job.pictures.first().render
    long_ago = timezone.now() - timedelta(seconds=settings.Q_CLUSTER["retry"] + 1)
    TestRender.objects.filter(pk=one.pk).update(status=Status.RENDERING, started_at=long_ago, attempts=1)
    OrmQ.objects.all().delete()  # its task went with it
    assert full_comparison.progress(job).waiting == 18
    tasks.sweep()
    assert not job.pictures.exclude(render__status=Status.QUEUED).exists()
    asked = {task.task["args"][0] for task in OrmQ.objects.all()}
    assert asked == set(job.pictures.values_list("render__checkpoint", flat=True))


def test_an_operator_starts_follows_and_cancels_it_beside_the_live_release(client, run, best_before):
    put_live(best_before)
    operator = make_user("operator")
    client.force_login(operator)
    asked = client.get(act_of(run)).content.decode()
    assert "the base without a LoRA, perfect epoch 7 and every epoch of compared" in asked
    assert "24 pictures, about" in asked
    page = client.post(act_of(run), follow=True).content.decode()
    assert "The full comparison draws 24 pictures" in page
    assert "0 of 24 pictures drawn, 24 to come" in page, "one line on the run's page"
    job = FullComparison.objects.get()
    assert job.by == operator
    draw(6)
    matrix = reverse("evaluation:compare", args=(run.pk,))
    progress = reverse("evaluation:comparison_progress", args=(run.pk,))
    for address in (matrix, progress):
        told = client.get(address).content.decode()
        assert "6 of 24 pictures drawn; 18 pictures, about 36 seconds (measured on this machine) left" in told
        assert "data-waiting" in told
        assert act_of(run, "cancel-full-comparison") in told
        assert f'href="{act_of(run)}"' not in told
    assert "perfect epoch 7" in client.get(matrix).content.decode()
    done = client.post(act_of(run, "cancel-full-comparison"), follow=True).content.decode()
    assert "18 pictures were taken off the queue" in done
    told = client.get(progress).content.decode()
    assert "18 cancelled" in told
    assert "Resume" in told
    client.post(act_of(run))
    draw(18)
    told = client.get(progress).content.decode()
    assert "24 of 24 pictures drawn." in told
    assert reverse("evaluation:export_matrix", args=(run.pk, "sheet")) in told
    assert "data-waiting" not in told


def test_who_only_reviews_sees_it_and_may_neither_start_nor_cancel(client, run):
    job = full_comparison.start(run, None)
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    told = client.get(reverse("evaluation:comparison_progress", args=(run.pk,))).content.decode()
    assert "0 of 18 pictures drawn" in told
    assert "/act/" not in told
    for name in ("full-comparison", "cancel-full-comparison"):
        assert client.post(act_of(run, name)).status_code == 403
    for refused in (lambda: full_comparison.start(run, reviewer), lambda: full_comparison.cancel(job, reviewer)):
        with pytest.raises(PermissionDenied):
            refused()
    client.force_login(make_user())
    assert client.get(reverse("evaluation:comparison_progress", args=(run.pk,))).status_code == 302


def test_without_a_file_to_draw_with_it_says_what_to_do(client):
    run = make_run(run_name="bare")
    client.force_login(make_user("operator"))
    assert "bare has no LoRA file to draw with: train the run" in client.get(act_of(run)).content.decode()
    client.post(act_of(run))
    assert not FullComparison.objects.exists()
    with pytest.raises(suite.SuiteError, match="adopt_files"):
        full_comparison.start(run, None)
