from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from deployment import tasks
from deployment.generation import NothingLiveError, QueueFullError, accept, position, surprise
from deployment.models import Generation
from deployment.traits import ChoiceError, Traits
from evaluation.renderjob import ATTEMPTS, Status
from punklab.diffusion.request import RenderRequest
from tests.deployment.conftest import CHOICES

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]


def queued_tasks():
    return [
        (task.key, *(SignedPackage.loads(task.payload)[part] for part in ("func", "args")))
        for task in OrmQ.objects.all()
    ]


def test_a_wish_becomes_a_queued_row_and_a_task_for_the_visitors_cluster(live, settings):
    row = accept(CHOICES, seed=7)
    assert (row.status, row.seed, row.release) == (Status.QUEUED, 7, live)
    request = RenderRequest(**row.request)
    assert (request.prompt, request.seed, request.steps, request.batch_class) == (row.prompt, 7, live.steps, 1)
    assert "golden crown" in row.prompt
    assert queued_tasks() == [(settings.VISITORS_CLUSTER, tasks.draw, (row.pk,))]


def test_a_row_that_is_rolled_back_takes_its_task_with_it(live):
    with transaction.atomic():
        accept(CHOICES)
        transaction.set_rollback(True)
    assert not Generation.objects.exists()
    assert not OrmQ.objects.exists()


def test_without_a_seed_two_wishes_get_seeds_of_their_own(live):
    assert accept(CHOICES).seed != accept(CHOICES).seed


@pytest.mark.parametrize("seed", [-1, Generation.SEEDS])
def test_a_seed_out_of_range_is_refused(live, seed):
    with pytest.raises(ChoiceError, match="seed"):
        accept(CHOICES, seed=seed)


def test_nothing_is_taken_while_nothing_is_live():
    with pytest.raises(NothingLiveError):
        accept(CHOICES)


def test_a_full_queue_takes_no_more_until_a_punk_is_done(live, settings):
    settings.GENERATION_QUEUE_LIMIT = 2
    first, _ = accept(CHOICES), accept(CHOICES)
    with pytest.raises(QueueFullError):
        accept(CHOICES)
    Generation.objects.filter(pk=first.pk).update(status=Status.RENDERED)
    assert accept(CHOICES).status == Status.QUEUED


def test_the_place_in_the_queue_counts_who_came_before(live):
    rows = [accept(CHOICES) for _ in range(3)]
    assert [position(row) for row in rows] == [1, 2, 3]
    Generation.objects.filter(pk=rows[0].pk).update(status=Status.RENDERING)
    assert [position(row) for row in rows[1:]] == [2, 3]
    Generation.objects.filter(pk=rows[0].pk).update(status=Status.RENDERED)
    assert [position(row) for row in rows[1:]] == [1, 2]


def test_a_surprise_is_on_offer_and_keeps_what_was_asked(live):
    traits = Traits.from_json(live.traits)
    for _ in range(20):
        found = surprise(traits, {"punk": "lad"})
        assert traits.check(found)["punk"] == "lad"
        assert {"hair", "eyes", "skin", "background", "expression"} <= set(found)


def test_the_sweep_puts_a_dead_workers_punk_back_and_queues_it_again(live):
    row, other = accept(CHOICES), accept(CHOICES)
    OrmQ.objects.filter(pk=OrmQ.objects.order_by("pk").first().pk).delete()
    long_ago = timezone.now() - timedelta(hours=1)
    Generation.objects.filter(pk=row.pk).update(status=Status.RENDERING, started_at=long_ago, attempts=1)
    tasks.sweep()
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    assert sorted(args for _, _, args in queued_tasks()) == [(row.pk,), (other.pk,)]


def test_the_sweep_gives_up_after_the_last_attempt(live):
    row = accept(CHOICES)
    long_ago = timezone.now() - timedelta(hours=1)
    Generation.objects.filter(pk=row.pk).update(status=Status.RENDERING, started_at=long_ago, attempts=ATTEMPTS)
    tasks.sweep()
    row.refresh_from_db()
    assert (row.status, "worker stopped" in row.message) == (Status.ERRORED, True)


def test_the_sweep_queues_rows_whose_tasks_got_lost_and_no_others(live):
    row = accept(CHOICES)
    tasks.sweep()
    assert len(queued_tasks()) == 1
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert [args for _, _, args in queued_tasks()] == [(row.pk,)]


def test_the_sweep_is_scheduled_each_minute():
    schedule = Schedule.objects.get(func="deployment.tasks.sweep")
    assert (schedule.schedule_type, schedule.minutes, schedule.repeats) == (Schedule.MINUTES, 1, -1)
