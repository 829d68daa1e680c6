"""A run understood at a glance: plan, data, loss, cost, checklists, difference to another run, learnings."""

from __future__ import annotations

from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from evaluation import prompts
from evaluation.models import EpochResult, TestRender
from evaluation.progressive import queue_untested
from evaluation.renderjob import Status
from evaluation.run_difference import difference_of
from evaluation.selection import choose
from evaluation.standing import action_for, standings
from runs.caption_findings import find
from runs.models import LossPoint, RunPlan
from runs.run_facts import captions_of, cost_of, curve_of
from runs.training import create_run
from tests.factories import CAPTION, CONFIG, make_caption_version, make_checkpoint, make_job, make_run, make_user

pytestmark = pytest.mark.django_db


def scored(run, epoch, score, **values):
    return EpochResult.objects.create(
        training_run=run, epoch_number=epoch, **(dict.fromkeys(EpochResult.SCORES, score) | values)
    )


@pytest.fixture
def run():
    """A run of two epochs with checkpoints, made as planned."""
    version = make_caption_version("captions_v1")
    find(version.pk)
    made = create_run("looked at", captions=version, config_text=CONFIG)
    for epoch in (1, 2):
        make_checkpoint(run=made, epoch=epoch)
    return made


def page_of(client, run, role="operator", **given):
    client.force_login(make_user(role))
    page = client.get(reverse("admin:runs_trainingrun_change", args=(run.pk,)), given)
    assert page.status_code == 200
    return page


def items_of(page):
    return {item.text: item for checklist in page.context["checklists"] for item in checklist.items}


def test_the_plan_is_shown_with_how_its_criterion_came_out(client, run):
    parent = make_run(run_name="the parent")
    RunPlan.objects.create(
        run=run,
        parent=parent,
        changes={"network_dim": [32, 4]},
        hypothesis="Smaller is simpler.",
        measure="average",
        epoch=2,
        direction="at_least",
        threshold=6,
    )
    page = unescape(page_of(client, run).content.decode())
    for told in ("the parent", "<strong>network_dim</strong> 32 → 4", "Smaller is simpler.", "is to be at least 6."):
        assert told in page
    assert "Not judged yet." in page
    RunPlan.objects.update(is_met=False, judged_at=timezone.now(), outcome="Not met: it is 5.")
    assert "Not met: it is 5." in page_of(client, run).content.decode()
    assert "looked at" in page_of(client, parent).context["copies"][0].run.run_name


def test_all_parameters_are_on_the_page_to_be_searched(client, run):
    page = page_of(client, run, "viewer").content.decode()
    assert '<th scope="row">network_dim</th><td>4</td>' in page
    assert 'data-search="parameters"' in page


def test_a_run_s_captions_are_counted_by_finding_and_counted_again_once_they_change(run):
    assert captions_of(run).counts is not None
    version = make_caption_version("no lips", caption=CAPTION.replace("red lips (#aa3344), ", ""))
    run.caption_version = "no lips"
    assert not captions_of(run).is_checked
    find(version.pk)
    found = captions_of(run)
    assert found.counts is not None
    assert (found.counts["no_lips"], found.n_blocking, found.is_checked) == (4, 4, True)
    version.captions.update(text=CAPTION)
    find(version.pk)
    assert captions_of(run).n_blocking == 0
    run.caption_version = "never heard of"
    assert (captions_of(run).version, captions_of(run).counts) == (None, None)


def test_the_loss_curve_shows_the_latest_job_that_told_one(run):
    assert curve_of(run) is None
    old, job = make_job(run=run, status="failed"), make_job(run=run)
    for which, losses in ((old, (9.0, 8.0)), (job, (0.5, 0.1, 0.3))):
        LossPoint.objects.bulk_create(
            LossPoint(job=which, step=10 * n, epoch=n, loss=loss) for n, loss in enumerate(losses, start=1)
        )
    curve = curve_of(run)
    assert curve is not None
    assert curve.points == "0.0,0.0 500.0,100.0 1000.0,50.0"
    assert (curve.first.loss, curve.last.loss, curve.lowest.step) == (0.5, 0.3, 20)


def test_cost_is_what_the_jobs_took_else_what_the_row_says(run):
    run.training_duration_hours, run.gpu_type = 1.5, "A100"
    assert (cost_of(run).hours, cost_of(run).gpu) == (1.5, "A100")
    now = timezone.now()
    make_job(run=run, status="failed", started_at=now - timedelta(hours=3), ended_at=now - timedelta(hours=1))
    make_job(run=run, status="finished", started_at=now - timedelta(minutes=30), ended_at=now)
    assert (cost_of(run).hours, cost_of(run).n_jobs) == (2.5, 2)


def test_the_checklists_are_ticked_by_the_records_and_link_to_what_is_missing(client, run):
    items = items_of(page_of(client, run))
    done = {text for text, item in items.items() if item.done}
    assert done == {
        "Captions checked",
        "Run logged",
        "500 MB free for checkpoints",
        "Training config without errors",
        "Checkpoint kept",
    }
    assert items["Committed to version control"].done is None
    assert items["Scored by a person"].detail == "0 of 2 epochs"
    close = reverse("admin:runs_trainingrun_act", args=(run.pk, "close"))
    assert items["Run marked complete"].links == (("close the run", close),)

    queue_untested()
    TestRender.objects.update(status=Status.RENDERED, finished="a.png", measures={})
    EpochResult.objects.all().delete()
    scored(run, 1, 7)
    scored(run, 2, 8, observations="Auto-scored by a script")
    items = items_of(page_of(client, run))
    assert items["Test pictures drawn"].done
    assert items["Logged"].done
    assert (items["Scored by a person"].done, items["Scored by a person"].links) == (False, [("epoch 2", "#epoch-2")])
    assert not items["All epochs evaluated"].done
    assert items["Best epoch identified"].detail == "epoch 1", "a script's scores do not count"
    assert not items["Full comparison drawn"].done

    EpochResult.objects.update(observations="Seen.")
    TestRender.objects.filter(checkpoint__epoch=2).update(priority=TestRender.LATER_SEEDS + 1)
    run.status, run.overall_verdict, run.key_findings = "completed", "partial", "Hair is right."
    run.save()
    items = items_of(page_of(client, run))
    for text in (
        "Scored by a person",
        "All epochs evaluated",
        "Full comparison drawn",
        "Production readiness assessed",
        "Run marked complete",
        "Learnings documented",
    ):
        assert items[text].done, text
    assert not items["Generator draws with it"].done


def test_captions_that_block_and_a_config_that_is_wrong_are_not_ticked(client, run):
    version = make_caption_version("no lips", caption=CAPTION.replace("red lips (#aa3344), ", ""))
    run.caption_version = "no lips"
    run.all_parameters = run.all_parameters | {"caption_extension": ".caption", "unet_lr": "fast"}
    run.save()
    unchecked = items_of(page_of(client, run))["Captions checked"]
    assert (unchecked.done, unchecked.detail) == (None, "being checked now: reload this page in a while")
    find(version.pk)
    items = items_of(page_of(client, run))
    assert (items["Captions checked"].done, items["Captions checked"].detail) == (False, "4 blocking, 8 other findings")
    assert not items["Training config without errors"].done
    run.all_parameters = None
    run.save()
    assert items_of(page_of(client, run))["Training config without errors"].done is None


def test_too_little_disk_is_missing_before_a_training(client, monkeypatch):
    monkeypatch.setattr("evaluation.checklists.free_disk", lambda: 499_000_000)
    item = items_of(page_of(client, make_run()))["500 MB free for checkpoints"]
    assert (item.done, "free" in item.detail) == (False, True)


def test_the_page_says_when_a_suite_gives_way_on_this_machine(client, run):
    queue_untested()
    TestRender.objects.update(
        status=Status.RENDERED, seconds=60.0, device="cpu", ended_at=timezone.now(), finished="a.png", measures={}
    )
    page = unescape(page_of(client, run).content.decode())
    n_full = 3 * len(prompts.SUITE)
    assert f"(medium instead of full: full would be {n_full} pictures, about {n_full}.0 minutes" in page


def test_two_runs_stand_side_by_side_with_what_the_difference_did_to_the_scores(client, run):
    other = create_run(
        "other",
        captions=make_caption_version("captions_v2"),
        config_text=CONFIG.replace("network_dim = 4", "network_dim = 8"),
    )
    scored(run, 1, 6)
    scored(run, 2, 8)
    scored(other, 1, 9)
    found = difference_of(run, other)
    assert {each.name: each.values for each in found.parameters} == {
        "caption_version": ["captions_v1", "captions_v2"],
        "network_dim": ["4", "8"],
    }
    lines = {line.name: (line.mine, line.theirs, line.change) for line in found.scores}
    assert lines["average of the best epoch"] == ("8.0", "9.0", -1.0)
    assert lines["best epoch"] == ("2", "1", None)
    page = page_of(client, run, "viewer", against=other.pk).content.decode()
    assert "<td>8.0</td><td>9.0</td><td>-1.0</td>" in page
    assert page_of(client, run).context["difference"] is None
    assert page_of(client, run, against="x" * 20).context["difference"] is None


def test_a_copy_is_set_beside_its_parent_unasked(client, run):
    parent = make_run(run_name="the parent")
    RunPlan.objects.create(run=run, parent=parent)
    assert page_of(client, run).context["difference"].other == parent


def test_learnings_and_story_are_shown_and_escaped(client, run):
    run.key_findings, run.issues_found, run.comparison_notes = "<b>Too dark</b>", ["blurry"], "A story."
    run.save()
    page = page_of(client, run).content.decode()
    assert "&lt;b&gt;Too dark&lt;/b&gt;" in page
    assert "<dd>blurry</dd>" in page
    assert "A story." in page


@pytest.mark.parametrize(
    ("average", "action"),
    [
        (10, "deploy"),
        (9, "deploy"),
        (8.99, "consider deploying"),
        (7, "consider deploying"),
        (6.99, "train on or adjust"),
        (5, "train on or adjust"),
        (4.99, "stop and analyse"),
        (0, "stop and analyse"),
        (None, ""),
    ],
)
def test_the_lab_s_thresholds_say_what_to_do(average, action):
    assert action_for(average) == action


def test_a_run_stands_by_the_best_epoch_that_people_scored_the_earliest_of_equals():
    run = make_run()
    for epoch, score in ((3, 8), (1, 7), (2, 8)):
        scored(run, epoch, score)
    scored(run, 4, 10, observations="auto-scored")
    standing = standings([run])[run.pk]
    assert standing.best is not None
    assert (standing.best.epoch_number, standing.average, standing.n_scored) == (2, 8.0, 3)
    assert str(standing) == "best epoch 2 with 8.0 (8, 8, 8), 3 epochs scored"


def test_a_run_stands_by_the_epoch_that_somebody_chose_until_the_computed_one_holds_again(client):
    run = make_run()
    for epoch, score in ((1, 9), (2, 7)):
        scored(run, epoch, score)
    script = scored(run, 3, 10, observations="auto-scored")

    def shown() -> str:
        client.force_login(make_user("viewer"))
        page = client.get(reverse("admin:runs_trainingrun_changelist")).context["cl"]
        (row,) = page.result_list
        return page.model_admin.best_average(row)

    assert (str(standings([run])[run.pk]), shown()) == ("best epoch 1 with 9.0 (9, 9, 9), 2 epochs scored", "9.0")
    choose(run, 2, "Its hair is right.", by=None)
    standing = standings([run])[run.pk]
    assert str(standing) == "best epoch 2, chosen, with 7.0 (7, 7, 7), 2 epochs scored"
    assert (standing.average, shown()) == (7.0, "7.0")
    choose(run, script.epoch_number, "The script is right.", by=None)
    standing = standings([run])[run.pk]
    assert str(standing) == "best epoch 3, chosen, not scored by a person, 2 epochs scored"
    assert (standing.average, shown()) == (None, "–")
    choose(run, None, "Back to people's scores.", by=None)
    assert (standings([run])[run.pk].average, shown()) == (9.0, "9.0")
