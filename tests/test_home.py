from __future__ import annotations

import pytest
from django.utils import timezone
from django_q.models import Task

from deployment.models import Generation, Release
from evaluation import scoring, selection
from evaluation.models import EpochResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab import home
from runs.caption_models import CaptionFindings
from runs.models import Checkpoint, TrainingJob
from runs.plan_models import LossPoint
from tests.factories import make_caption_version, make_job, make_run, make_user

pytestmark = pytest.mark.django_db


def page(client) -> str:
    return client.get("/console/").content.decode()


def drawn(checkpoint: Checkpoint, n: int) -> list[TestRender]:
    prompt = TestPrompt.objects.all()[0]
    return [
        TestRender.objects.create(
            checkpoint=checkpoint,
            test_prompt=prompt,
            digest=f"{checkpoint.pk}-{number}",
            request={},
            status=Status.RENDERED,
            finished="x.png",
            seconds=30.0,
            ended_at=timezone.now(),
        )
        for number in range(n)
    ]


def make_file(run, epoch: int) -> Checkpoint:
    return Checkpoint.objects.create(
        run=run,
        epoch=epoch,
        file="x",
        sha256=f"{run.pk}{epoch}".rjust(64, "0"),
        base_model="miniature",
        source="trained",
    )


def test_what_needs_a_reviewer_is_named_with_where_it_is(client):
    anna, ben = (make_user("reviewer", username=name) for name in ("anna", "ben"))
    run = make_run()
    rows = [EpochResult.objects.create(training_run=run, epoch_number=n, num_test_images=6) for n in (1, 2, 3)]
    scoring.score(rows[0], 9, 9, 9, by=anna)
    scoring.score(rows[0], 2, 9, 9, by=ben)
    Task.objects.create(id="a" * 32, name="t", func="f", started=timezone.now(), stopped=timezone.now(), success=False)
    long_ago = timezone.now() - home.LATELY * 2
    make_job(run=run, status=TrainingJob.Status.FAILED, ended_at=timezone.now())
    make_job(run=make_run(), status=TrainingJob.Status.FAILED, ended_at=long_ago)
    fresh, former, _ = drawn(make_file(run, 1), 3)
    for render, moment in ((fresh, timezone.now()), (former, long_ago)):
        TestRender.objects.filter(pk=render.pk).update(status=Status.FAILED, ended_at=moment)
    client.force_login(anna)
    shown = page(client)
    for words in (
        "Score 2 epochs",
        "1 training failed",
        "1 test picture failed",
        "1 task failed",
        "3 epochs await scores",
        "1 epoch divides its reviewers",
    ):
        assert words in shown, words
    viewer = make_user("viewer")
    client.force_login(viewer)
    assert "Score 2 epochs" not in page(client)
    assert home.to_score(viewer) == 0


def test_what_is_not_there_is_not_named():
    assert home.needs(make_user("reviewer")) == []


def test_findings_of_the_newest_checked_captions_need_a_person(client):
    versions: tuple[tuple[str, dict[str, list]], ...] = (("old", {"a": [{}], "b": [{}]}), ("new", {"a": [{}], "b": []}))
    for name, found in versions:
        CaptionFindings.objects.create(
            version=make_caption_version(name), digest=name, found=found, words={}, with_codes=False
        )
    client.force_login(make_user("viewer"))
    shown = page(client)
    assert "1 caption of new with findings" in shown
    assert "of old" not in shown


def test_a_running_training_shows_its_loss_and_its_latest_pictures(client):
    run = make_run(run_name="burning")
    job = make_job(
        run=run,
        status=TrainingJob.Status.RUNNING,
        started_at=timezone.now(),
        step=5,
        total_steps=10,
        loss=0.25,
        eta_seconds=90,
    )
    for step, loss in ((1, 0.5), (3, 0.3), (5, 0.25)):
        LossPoint.objects.create(job=job, step=step, epoch=1, loss=loss)
    renders = drawn(make_file(run, 1), 8)
    drawn(make_file(make_run(), 1), 5 * home.MOST_PICTURES)  # of a run that does not train
    (running,) = home.running()
    latest = reversed(renders[-home.MOST_PICTURES :])
    assert running.pictures == [f"/console/pictures/render/{each.pk}/0/" for each in latest]
    assert running.curve.split() == ["0.0,0.0", "60.0,25.6", "120.0,32.0"]
    assert len(running.pictures) == home.MOST_PICTURES
    client.force_login(make_user("viewer"))
    shown = page(client)
    assert "step 5 of 10" in shown
    assert "about 2 min left" in shown
    assert f"/pictures/render/{renders[-1].pk}/" in shown


def test_the_last_runs_show_the_curve_that_people_gave(client):
    run = make_run(run_name="curved")
    for epoch, score in ((1, 5), (2, 8), (3, 7)):
        row = EpochResult.objects.create(training_run=run, epoch_number=epoch)
        scoring.score(row, score, score, score, by=None)
    machine = EpochResult.objects.create(training_run=run, epoch_number=4, observations="Auto-scored by a script")
    EpochResult.objects.filter(pk=machine.pk).update(**dict.fromkeys(EpochResult.SCORES, 10))
    (found,) = home.lately()
    assert (found.best, found.n_scored, found.curve) == (8.0, 3, "0.0,16.0 60.0,6.4 120.0,9.6")
    selection.choose(run, 3, "Its hair is right.", by=None)
    assert home.lately()[0].best == 7.0, "a person's choice holds"


def test_a_release_shows_what_it_has_taken(client):
    run = make_run(training_duration_hours=2.5)
    checkpoint = make_file(run, 1)
    drawn(checkpoint, 4)
    release = Release.objects.create(
        checkpoint=checkpoint, reason="good", steps=20, guidance=7.0, scheduler="dpm", size=96, max_token_length=225
    )
    for seed in range(3):
        Generation.objects.create(release=release, prompt="p", seed=seed, request={}, status=Status.RENDERED)
    Generation.objects.create(release=release, prompt="p", seed=9, request={}, status=Status.FAILED)
    (found,) = home.spent()
    assert (found.hours, found.test_seconds, found.punks) == (2.5, 120.0, 3)
    client.force_login(make_user("viewer"))
    assert "2 min</td>" in page(client)
