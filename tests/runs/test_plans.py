"""A run as a copy of another with its changes named, why, and how the nearest past runs ended."""

from __future__ import annotations

from html import unescape

import pytest
from django.urls import reverse

from runs.models import RunPlan, TrainingRun
from runs.nearest import nearest
from runs.parameters import differences, lines_of
from runs.plans import Criterion, Intent, PlanError, changes_between, config_like, create_planned, with_changes
from runs.training import ActError, create_run
from tests.factories import CONFIG, make_caption_version, make_checkpoint, make_run, make_user

pytestmark = pytest.mark.django_db

ADD = "admin:runs_trainingrun_add"


@pytest.fixture
def captions():
    return make_caption_version("captions_v1")


@pytest.fixture
def parent(captions):
    return create_run("the parent", captions=captions, config_text=CONFIG, repeats=5)


def copy_of(parent, captions, changes="", **intent):
    values = {"hypothesis": "A smaller network draws simpler pictures."} | intent
    return create_planned(
        "the copy",
        Intent(parent=parent, **values),
        captions=captions,
        config_text=with_changes(config_like(parent), changes),
        repeats=5,
    )


def ended(verdict, name, **values):
    dims = {"network_dim": 4, "network_alpha": 2, "caption_version": "captions_v1", "unet_lr": 0.002}
    return make_run(run_name=name, overall_verdict=verdict, status="completed", **(dims | values))


def test_a_copy_keeps_what_changed_and_why(parent, captions):
    by = make_user("operator")
    run = create_planned(
        "the copy",
        Intent(
            parent=parent,
            hypothesis=" Smaller is simpler. ",
            criterion=Criterion(measure="average", epoch=2, direction="at_least", threshold=6.5),
        ),
        captions=captions,
        config_text=with_changes(config_like(parent), "network_dim = 2"),
        repeats=5,
        by=by,
    )
    plan = RunPlan.objects.get(run=run)
    assert (plan.parent, plan.changes, plan.hypothesis, plan.by) == (
        parent,
        {"network_dim": [4, 2]},
        "Smaller is simpler.",
        by,
    )
    assert (plan.measure, plan.epoch, plan.direction, plan.threshold) == ("average", 2, "at_least", 6.5)
    assert (run.network_dim, run.network_alpha, run.all_parameters["repeats"]) == (2, 2, 5)


def test_kohya_s_default_said_aloud_and_other_file_names_are_no_change(parent, captions):
    config = config_like(parent) + 'min_bucket_reso = 256\nlogging_dir = "elsewhere"\n'
    other = create_run("other", captions=captions, config_text=config, repeats=5)
    assert changes_between(parent, other) == {}


def test_captions_and_repeats_are_variables_too(parent):
    other = create_run("other", captions=make_caption_version("captions_v2"), config_text=CONFIG)
    assert changes_between(parent, other) == {"caption_version": ["captions_v1", "captions_v2"], "repeats": [5, 1]}
    assert [(each.name, each.values) for each in differences(other, parent)] == [
        ("caption_version", ["captions_v2", "captions_v1"]),
        ("repeats", ["1", "5"]),
    ]


def test_of_a_row_of_the_lab_s_only_what_it_says_is_compared(captions):
    past = make_run(run_name="past", network_dim=32, resolution="96x96", caption_version="captions_v1")
    run = create_run("new", captions=captions, config_text=CONFIG)
    assert changes_between(past, run) == {"network_dim": [32, 4]}
    assert [(each.name, each.values) for each in differences(run, past, run)] == [("network_dim", ["4", "32", "4"])]
    assert "caption_extension" in config_like(past)
    assert "output_name" not in config_like(run), "a copy's files have a name of their own"


def test_several_changes_need_a_reason_and_nothing_is_made_without_it(parent, captions):
    with pytest.raises(PlanError, match=r"2 variables change \(network_dim, seed\)"):
        copy_of(parent, captions, "network_dim = 2\nseed = 7")
    assert not TrainingRun.objects.filter(run_name="the copy").exists()
    captions.refresh_from_db()
    assert captions.used_in_training_runs == ["the parent"]
    run = copy_of(parent, captions, "network_dim = 2\nseed = 7", reason_for_several="The dim decides, the seed not.")
    assert run.plan.reason_for_several == "The dim decides, the seed not."


def test_a_copy_needs_a_hypothesis_and_a_criterion_an_epoch_that_is_trained(parent, captions):
    with pytest.raises(PlanError, match="a hypothesis is missing"):
        copy_of(parent, captions, "network_dim = 2", hypothesis=" ")
    late = Criterion(measure="average", epoch=3, direction="at_least", threshold=6)
    with pytest.raises(PlanError, match="asks for epoch 3, but the run has 2"):
        copy_of(parent, captions, "network_dim = 2", criterion=late)


def test_changes_that_are_no_toml_are_named_with_the_mend():
    with pytest.raises(ActError, match="Write one a line"):
        with_changes(CONFIG, "network_dim: 2")


def test_the_nearest_past_runs_are_those_that_differ_least(parent):
    ended("failure", "as it is")
    ended("success", "larger", network_dim=64)
    ended("partial", "other captions", caption_version="captions_v0")
    ended("failure", "all else", network_dim=64, caption_version="captions_v0", unet_lr=0.1)
    ended("success", "another kind", model_type="SDXL")
    make_run(run_name="not closed")
    found = nearest(parent)
    assert [str(one.run) for one in found] == ["as it is", "other captions", "larger"]
    assert [one.differs for one in found] == [(), ("caption_version",), ("network_dim",)]
    assert found[2].sentence == "larger (success; differs in network_dim)"


def test_where_all_the_nearest_failed_a_reason_is_asked_for(parent, captions):
    for number in range(3):
        ended("failure", f"failed {number}")
    ended("success", "far away", network_dim=64, caption_version="x", unet_lr=1.0)
    with pytest.raises(PlanError, match="All the nearest past runs failed") as refused:
        copy_of(parent, captions, "network_dim = 2")
    assert len(refused.value.near) == 3
    run = copy_of(parent, captions, "network_dim = 2", reason_despite_failures="They had the wrong captions.")
    assert run.plan.reason_despite_failures == "They had the wrong captions."


def test_a_run_starts_from_an_epoch_of_its_parent(parent, captions):
    checkpoint = make_checkpoint(run=parent, epoch=2)
    run = copy_of(parent, captions, starting_checkpoint=checkpoint)
    assert run.all_parameters["network_weights"] == str(checkpoint.path)
    assert run.plan.changes == {"network_weights": [None, str(checkpoint.path)]}
    assert run.plan.starting_checkpoint == checkpoint


def test_the_page_shows_the_parent_refuses_and_creates(client, parent, captions):
    ended("success", "an old one", quality_score=9, key_findings="Dim 4 suffices.")
    client.force_login(make_user("operator"))
    address = f"{reverse(ADD)}?like={parent.pk}"
    ended("failure", "far", network_dim=64)
    TrainingRun.objects.filter(pk=parent.pk).update(overall_verdict="failure", key_findings="Its own findings.")
    page = unescape(client.get(address).content.decode())
    assert "Create a run like the parent" in page
    assert "Its own findings." in page
    assert "Dim 4 suffices." in page
    assert '<th scope="row">network_dim</th><td>4</td>' in page
    sent = {"name": "typed", "captions": captions.pk, "config_text": config_like(parent), "changes": "network_dim = 2"}
    assert "This field is required" in client.post(address, sent).content.decode()
    sent |= {"hypothesis": "Simpler.", "measure": "average", "epoch": "1"}
    assert "A criterion needs its threshold" in client.post(address, sent).content.decode()
    sent |= {"threshold": "6", "direction": "at_least"}
    answer = client.post(address, sent)
    page = unescape(answer.content.decode())
    assert "Look at how the nearest past runs ended, then create it." in page
    assert '<th scope="row">network_dim</th><td>4</td><td>2</td>' in page
    assert not TrainingRun.objects.filter(run_name="typed").exists()
    seen = answer.context["form"].data["seen"]
    assert f'name="seen" value="{seen}"' in page
    assert client.post(address, sent | {"seen": seen}).status_code == 302
    run = TrainingRun.objects.get(run_name="typed")
    assert (run.plan.parent, run.plan.changes, run.plan.threshold) == (parent, {"network_dim": [4, 2]}, 6.0)
    assert run.all_parameters["repeats"] == 5


def test_the_page_asks_why_several_variables_change(client, parent, captions):
    client.force_login(make_user("operator"))
    address = f"{reverse(ADD)}?like={parent.pk}"
    sent = {
        "name": "typed",
        "captions": captions.pk,
        "config_text": config_like(parent),
        "changes": "network_dim = 2\nnetwork_alpha = 1",
        "hypothesis": "Simpler.",
    }
    assert "2 variables change (network_alpha, network_dim)" in client.post(address, sent).content.decode()
    sent["reason_for_several"] = "Alpha follows dim."
    assert client.post(address, sent).status_code == 302


def test_a_viewer_creates_nothing(client, parent):
    client.force_login(make_user("viewer"))
    assert client.post(f"{reverse(ADD)}?like={parent.pk}", {"name": "typed"}).status_code == 403


def test_all_parameters_are_listed_those_of_the_run_first(parent):
    lines = lines_of(parent)
    said = {line.name: line.value for line in lines if line.is_said}
    assert said["network_dim"] == "4"
    assert said["caption_version"] == "captions_v1"
    assert any(line.name == "clip_skip" or not line.is_said for line in lines)
    assert [line.is_said for line in lines] == sorted((line.is_said for line in lines), reverse=True)
