"""The suites that checkpoints get by themselves: by epoch, fitted to the machine, all of it for the expected best."""

from __future__ import annotations

import importlib

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from evaluation import progressive, prompts, suite
from evaluation.matrix import Question, matrix
from evaluation.models import EpochResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.suite_models import SuitePrompt, SuiteRule
from punklab.pixels.asked import unread
from runs.models import Checkpoint, TrainingJob
from tests.factories import make_checkpoint, make_job, make_run, make_user

N_FULL = 3 * len(prompts.SUITE)


def n_pictures(checkpoint):
    return checkpoint.test_renders.count()


def drawn(**facts):
    TestRender.objects.update(
        **{"status": Status.RENDERED, "seconds": 1.0, "device": "cpu", "ended_at": timezone.now(), "measures": {}}
        | facts
    )


def scored(run, epoch, score, *, by_machine=False):
    row, _ = EpochResult.objects.get_or_create(training_run=run, epoch_number=epoch)
    if by_machine:
        ScoreEntry.objects.create(
            epoch_result=row, source="machine", reasons=["a"], **dict.fromkeys(EpochResult.SCORES, score)
        )
    else:
        EpochResult.objects.filter(pk=row.pk).update(**dict.fromkeys(EpochResult.SCORES, score))


@pytest.fixture
def run(db):
    """A run of three epochs, its suites drawn."""
    run = make_run(max_train_epochs=3)
    for epoch in (1, 2, 3):
        make_checkpoint(run=run, epoch=epoch)
    progressive.queue_untested()
    drawn()
    EpochResult.objects.update(num_test_images=3)
    return run


def test_the_suite_is_broad_and_each_prompt_can_be_read(db):
    assert len(prompts.SUITE) >= 15
    texts = [each.text for each in prompts.FURTHER]
    assert not [problem for text in texts for problem in unread(text)]
    assert len({each.name for each in prompts.SUITE}) == len(prompts.SUITE)
    assert sum("bespoke punk" not in text for text in texts) == 2, "two say nothing of what the LoRA was trained on"


def test_early_epochs_get_one_picture_later_ones_three_and_adopted_ones_their_row(run):
    adopted = make_checkpoint(epoch=7, source=Checkpoint.Source.ADOPTED)
    base = Checkpoint.objects.get(source=Checkpoint.Source.BASE)
    assert [n_pictures(each) for each in run.checkpoints.order_by("epoch")] == [1, 1, 3]
    assert n_pictures(base) == 3
    assert {render.request["lora_sha256"] for render in base.test_renders.all()} == {None}
    assert progressive.queue_untested() == 0, "nothing is the best before anything is scored or suggested"
    assert n_pictures(adopted) == 0
    assert EpochResult.objects.filter(training_run=adopted.run, epoch_number=7).exists()


def test_the_rules_can_be_changed(run):
    SuiteRule.objects.filter(first_epoch=3).update(first_epoch=5)
    fourth, fifth = make_checkpoint(run=run, epoch=4), make_checkpoint(run=run, epoch=5)
    progressive.queue_untested()
    assert (n_pictures(fourth), n_pictures(fifth)) == (0, 3)


def test_a_suite_that_takes_too_long_here_gives_way_to_a_smaller_one_and_says_so(run):
    drawn(seconds=60.0)
    best = run.checkpoints.get(epoch=3)
    choice = progressive.choose(best, is_best=True)
    assert (choice.wanted, choice.size) == ("full", "medium")
    assert str(choice) == (
        f"medium instead of full: full would be {N_FULL} pictures, about {N_FULL:.1f} minutes "
        "(measured on this machine), and its rule allows 30 min"
    )
    SuiteRule.objects.filter(kind="best").update(minutes=None)
    assert str(progressive.choose(best, is_best=True)) == "full"
    SuiteRule.objects.update(minutes=0)
    assert progressive.choose(best, is_best=True).size == "quick", "one picture is always drawn"


def test_the_best_suggested_epoch_gets_the_whole_suite_once_and_its_base_too(run):
    for epoch, score in ((1, 5), (2, 9), (3, 7)):
        scored(run, epoch, score, by_machine=True)
    assert progressive.queue_untested() == 2 * N_FULL - 1 - 3
    assert n_pictures(run.checkpoints.get(epoch=2)) == n_pictures(Checkpoint.objects.get(source="base")) == N_FULL
    assert progressive.queue_untested() == 0
    suite.cancel(run.checkpoints.get(epoch=2))
    drawn()
    TestRender.objects.filter(checkpoint__epoch=2, priority__gt=1).update(status=Status.CANCELLED)
    assert progressive.queue_untested() == 0, "what a person cancelled stays cancelled"
    scored(run, 3, 10, by_machine=True)
    assert progressive.queue_untested() == 0, "one suggestion a run"
    for epoch, score in ((1, 5), (2, 6), (3, 8)):
        scored(run, epoch, score)
    assert progressive.queue_untested() == N_FULL - 3, "people know better"
    suite.cancel(run.checkpoints.get(epoch=3))
    assert progressive.queue_untested() == 0, "and what they cancelled stays cancelled"


def test_one_lucky_picture_makes_no_epoch_the_best(run):
    EpochResult.objects.filter(epoch_number__lt=3).update(num_test_images=1)
    for epoch, score in ((1, 10), (2, 9), (3, 7)):
        scored(run, epoch, score, by_machine=True)
    assert progressive.expected_best(run) == 3


def test_people_s_scores_decide_once_they_show_a_trend(run):
    for epoch in (1, 2, 3):
        scored(run, epoch, epoch, by_machine=True)
    scored(run, 1, 8)
    assert progressive.expected_best(run) == 3
    scored(run, 2, 7)
    scored(run, 3, 6)
    assert progressive.expected_best(run) == 1


@pytest.mark.parametrize("why", ["trains", "draws", "measures", "closed"])
def test_no_epoch_is_the_best_while_more_may_come_or_the_run_is_closed(run, why):
    scored(run, 3, 9, by_machine=True)
    if why == "trains":
        make_job(run=run, status=TrainingJob.Status.RUNNING)
    elif why == "draws":
        TestRender.objects.filter(checkpoint__epoch=1).update(status=Status.RENDERING)
    elif why == "measures":
        TestRender.objects.filter(checkpoint__epoch=1).update(measures=None)
    else:
        run.overall_verdict = "failure"
        run.save()
    assert progressive.queue_untested() == 0


def test_a_comparison_shows_the_first_seed_whatever_was_drawn_last(run):
    checkpoint = run.checkpoints.get(epoch=3)
    suite.queue(checkpoint)
    found = matrix(Question(runs=[run]))
    row = next(row for row in found.rows if row.checkpoint == checkpoint)
    shown = TestRender.objects.filter(pk__in=[cell.pk for cell in row.cells if cell])
    assert {render.request["seed"] for render in shown} == {42}
    assert len(found.columns) == len(shown) == len(prompts.SUITE)


def test_several_seeds_tell_what_chance_changes(run):
    checkpoint = run.checkpoints.get(epoch=3)
    suite.queue(checkpoint)
    labels = [str(render) for render in checkpoint.test_renders.all()]
    assert len(set(labels)) == N_FULL
    assert suite.queue_repeats(checkpoint) == len(prompts.SUITE)
    assert suite.queue(checkpoint) == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "epochs", "first_epoch": 2, "last_epoch": 2}, "Another rule names one of these epochs"),
        ({"kind": "epochs", "first_epoch": 9}, "Another rule names one of these epochs"),
        ({"kind": "epochs"}, "needs a first epoch"),
        ({"kind": "best"}, "There is a rule for that already"),
        ({"kind": "best", "first_epoch": 3}, "names no epochs"),
        ({"kind": "epochs", "first_epoch": 4, "last_epoch": 3}, "lies before the first"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(db, values, said):
    rule = SuiteRule(size="quick", **values)
    if "lies before" not in said:  # PostgreSQL itself knows no such range
        with pytest.raises(IntegrityError), transaction.atomic():
            rule.save()
    with pytest.raises(ValidationError, match=said):
        rule.full_clean()


def test_an_operator_changes_a_rule_in_the_console_and_a_reviewer_may_not(client, run):
    rule = SuiteRule.objects.get(kind="best")
    address = reverse("admin:evaluation_suiterule_change", args=(rule.pk,))
    data = {"kind": "best", "size": "medium", "minutes": "5"}
    client.force_login(make_user("reviewer"))
    assert client.post(address, data).status_code == 403
    client.force_login(make_user("operator"))
    assert client.post(address, data).status_code == 302
    rule.refresh_from_db()
    assert (rule.size, rule.minutes) == ("medium", 5)
    epochs = {"kind": "epochs", "first_epoch": "2", "size": "quick"}
    page = client.post(reverse("admin:evaluation_suiterule_add"), epochs).content.decode()
    assert "Another rule names one of these epochs" in page
    backwards = {"kind": "epochs", "first_epoch": "9", "last_epoch": "8", "size": "quick"}
    page = client.post(reverse("admin:evaluation_suiterule_add"), backwards).content.decode()
    assert "The last epoch lies before the first." in page


def test_the_page_that_queues_an_epoch_s_tests_says_what_the_rules_give(client, run):
    client.force_login(make_user("operator"))
    row = EpochResult.objects.get(training_run=run, epoch_number=2)
    page = client.get(reverse("admin:evaluation_epochresult_act", args=(row.pk, "queue-tests"))).content.decode()
    assert "By the rules for suites: quick." in page


def test_a_suite_in_use_gets_our_prompts_behind_its_own_and_an_empty_one_none(db):
    migration = importlib.import_module("evaluation.migrations.0009_suite_rules")
    SuiteRule.objects.all().delete()
    added = [each.name for each in prompts.FURTHER]
    SuitePrompt.objects.exclude(position=2).delete()
    TestPrompt.objects.filter(prompt_name=added[0]).update(prompt_text="hers")
    migration.fill(apps, None)
    assert [str(place.test_prompt) for place in SuitePrompt.objects.all()] == [prompts.COMPARISON[1].name, *added]
    assert TestPrompt.objects.get(prompt_name=added[0]).prompt_text == "hers"
    SuitePrompt.objects.all().delete()
    SuiteRule.objects.all().delete()
    migration.fill(apps, None)
    assert not SuitePrompt.objects.exists()
