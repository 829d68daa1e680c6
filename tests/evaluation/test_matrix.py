from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluation import matrix_views
from evaluation.matrix import Question, matrix
from evaluation.models import ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.suite_models import SuitePrompt
from runs.models import Checkpoint
from runs.parameters import differences
from tests.factories import make_run, make_user
from tests.matrix_rows import at_weight, drawn_base, drawn_run, renders, suite_prompts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("six_prompts")]


def page_of(client, run, query: str = "") -> str:
    answer = client.get(reverse("evaluation:compare", args=(run.pk,)) + query)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def titles(found) -> list[str]:
    return [row.title for row in found.rows]


@pytest.fixture
def viewer(client):
    client.force_login(make_user("viewer"))
    return client


def test_a_page_has_the_base_first_then_the_epochs_each_prompt_a_column(viewer):
    base, run = drawn_base(), drawn_run(2)
    found = matrix(Question(runs=[run]))
    assert titles(found) == ["miniature without a LoRA", "epoch 1", "epoch 2"]
    assert [column.prompt for column in found.columns] == suite_prompts()
    for row in found.rows:
        drawn = {cell.pk for cell in row.cells}
        assert drawn == set(row.checkpoint.test_renders.values_list("pk", flat=True))
    page = page_of(viewer, run)
    assert page.count('<img class="punk"') == 3 * 6
    first = base.test_renders.order_by("priority").first()
    assert f'href="/console/pictures/raw/{first.pk}/0/" data-code="r{first.pk}"' in page
    assert f'src="/console/pictures/render/{first.pk}/0/"' in page
    assert page.count("✗ hair") == 2 * 6, "of the base nothing was judged"


def test_the_number_of_queries_is_the_same_for_ten_cells_and_a_thousand(viewer):
    prompts = suite_prompts()[:5]
    drawn_base(prompts, files=False)
    small, large = drawn_run(2, prompts, files=False), drawn_run(200, prompts, files=False)
    for run in (small, large):
        checkpoint = run.checkpoints.get(epoch=1)
        at_weight(checkpoint, prompts[0], 0.6)
        ScoreEntry.objects.create(
            epoch_result=run.epoch_results.get(epoch_number=1), source="machine", reasons=["a"], style_match_score=7
        )
    counts = {}
    for name, run, query in (
        ("small", small, ""),
        ("large", large, ""),
        ("both", small, f"?run={large.pk}"),
        ("all weights", large, "?weight=all"),
    ):
        page_of(viewer, run, query)
        with CaptureQueriesContext(connection) as queries:
            page = page_of(viewer, run, query)
        counts[name] = len(queries)
    assert f"{201 * 5:,} cells" in page_of(viewer, large)
    assert page.count('<img class="punk"') == 1000 + 1 + 5 + 5, (
        "of epoch 1 also its picture at 0.6, and at 0 the base's"
    )
    assert counts.pop("both") == counts["small"] + 1, "the other runs by name"
    assert set(counts.values()) == {21}, counts


def test_too_many_rows_are_left_out_and_the_page_says_how_many(viewer, monkeypatch):
    monkeypatch.setattr(matrix_views, "MOST_CELLS", 18)
    run = drawn_run(5, files=False)
    assert "2 more rows do not fit: choose fewer runs or epochs." in page_of(viewer, run)
    assert "more rows do not fit" not in page_of(viewer, run, "?epochs=2-4")


def test_a_column_has_one_seed_in_all_rows_and_another_can_be_asked_for(viewer):
    run = drawn_run(2)
    first = run.checkpoints.get(epoch=1)
    again = TestRender.objects.bulk_create(renders(first, suite_prompts(), [None] * 6, seed=1042))
    usual = matrix(Question(runs=[run]))
    assert {column.seed for column in usual.columns} == {42}
    assert usual.seeds == [42, 1042]
    other = matrix(Question(runs=[run], seed=1042))
    assert {column.seed for column in other.columns} == {1042}
    assert [cell.pk for cell in other.rows[0].cells] == [render.pk for render in again]
    assert list(other.rows[1].cells) == [None] * 6, "epoch 2 was not drawn with that seed"
    page = page_of(viewer, run, "?seed=1042")
    assert '<option value="1042" selected>1042</option>' in page
    assert page.count("not queued") == 6


def test_a_changed_seed_of_the_suite_never_mixes_seeds_in_a_column():
    run = drawn_run(2)
    prompt = suite_prompts()[0]
    SuitePrompt.objects.filter(test_prompt=prompt).update(seed=7)
    assert [column.seed for column in matrix(Question(runs=[run])).columns] == [42] * 6, "nothing is drawn with 7 yet"
    TestRender.objects.bulk_create(
        TestRender(**{**vars_of(render), "is_repeat": False})
        for render in renders(run.checkpoints.get(epoch=2), [prompt], [None], seed=7)
    )
    found = matrix(Question(runs=[run]))
    assert [column.seed for column in found.columns] == [7, 42, 42, 42, 42, 42]
    assert found.rows[0].cells[0] is None, "epoch 1 was drawn with another seed"
    assert found.rows[1].cells[0].finished


def vars_of(render):
    return {field.name: getattr(render, field.name) for field in render._meta.fields if field.name != "id"}


def test_the_latest_picture_of_a_prompt_and_seed_stands_and_cancelled_ones_do_not():
    run = drawn_run(1)
    (one,) = renders(run.checkpoints.get(), suite_prompts()[:1], [None])
    one.digest, one.status, one.finished = "newer", Status.FAILED, ""
    one.message = "The LoRA was altered."
    one.save()
    (cell, *_) = matrix(Question(runs=[run])).rows[0].cells
    assert (cell.pk, cell.words, cell.code) == (one.pk, "The LoRA was altered.", "")
    TestRender.objects.filter(pk=one.pk).update(status=Status.CANCELLED)
    assert matrix(Question(runs=[run])).rows[0].cells[0].finished


def test_runs_stand_side_by_side_with_what_differs_between_them_and_nothing_else(viewer):
    same: dict[str, Any] = {"network_dim": 16, "train_batch_size": 4}
    one = drawn_run(2, run_name="one", learning_rate=1e-4, output_name="a", all_parameters=same, **same)
    other = drawn_run(
        3, run_name="other", learning_rate=2e-4, output_name="b", all_parameters=same | {"clip_skip": 2}, **same
    )
    page = page_of(viewer, one, "?run=other")
    found = matrix(Question(runs=[one, other]))
    assert titles(found) == ["one epoch 1", "one epoch 2", "other epoch 1", "other epoch 2", "other epoch 3"]
    told = {each.name: list(each.values) for each in differences(one, other)}
    assert told["learning_rate"] == ["0.0001", "0.0002"]
    assert told["clip_skip"] == ["–", "2"]
    assert not {"network_dim", "output_name", "base_model"} & set(told)
    assert '<th scope="row">learning_rate</th><td>0.0001</td><td>0.0002</td>' in page
    assert "network_dim" not in page
    by_epoch = matrix(Question(runs=[one, other], by_epoch=True))
    assert titles(by_epoch)[:4] == ["one epoch 1", "other epoch 1", "one epoch 2", "other epoch 2"]


def test_what_cannot_be_understood_is_said_and_the_rest_is_shown(viewer):
    run = drawn_run(2)
    for query, told in (
        ("?epochs=3-1", "'3-1' ends before it begins: write 1-3."),
        ("?epochs=last", "'last' is no epoch: write numbers and ranges, as in 1-3, 7."),
        ("?weight=heavy", "'heavy' is no weight: give one number, or all."),
        ("?run=nobody", "There is no run called 'nobody'."),
        ("?order=colour", "colour is not one of the available choices."),
    ):
        page = page_of(viewer, run, query)
        assert told in page
        assert page.count('<img class="punk"') == 12, query


def test_epochs_are_chosen_by_number_and_range(viewer):
    run = drawn_run(6, files=False)
    assert titles(matrix(Question(runs=[run], epochs={2, 5, 6}))) == ["epoch 2", "epoch 5", "epoch 6"]
    page = page_of(viewer, run, "?epochs=2,5-6")
    assert page.count('<img class="punk"') == 18


def test_weights_are_a_third_axis_with_the_base_at_nought(viewer):
    base, run = drawn_base(), drawn_run(2)
    prompts = suite_prompts()
    first = run.checkpoints.get(epoch=1)
    light = [at_weight(first, prompt, 0.6) for prompt in prompts[:2]]
    found = matrix(Question(runs=[run], weight=0.6))
    assert found.weights == [0.0, 0.6, 1.0]
    assert [cell and (cell.kind, cell.pk) for cell in found.rows[1].cells[:3]] == [
        ("weight", light[0].pk),
        ("weight", light[1].pk),
        None,
    ]
    without = matrix(Question(runs=[run], weight=0.0))
    of_base = [render.pk for render in base.test_renders.order_by("priority")]
    assert [[cell.pk for cell in row.cells] for row in without.rows] == [of_base] * 3
    every = matrix(Question(runs=[run], weight=None))
    assert titles(every) == [
        "miniature without a LoRA",
        "epoch 1 at 0",
        "epoch 1 at 0.6",
        "epoch 1",
        "epoch 2",
    ]
    page = page_of(viewer, run)
    island = json.loads(page.split('<script id="matrix-weights" type="application/json">')[1].split("</script>")[0])
    assert island[1]["0.6"] == [f"w{light[0].pk}", f"w{light[1].pk}", "", "", "", ""]
    assert island[2]["0"] == [f"r{pk}" for pk in of_base]
    assert "0.6" not in island[2]


def test_pictures_are_kept_by_the_browser_for_ever_and_shown_only_to_those_who_may(viewer, client):
    run = drawn_run(1)
    light = at_weight(run.checkpoints.get(), suite_prompts()[0], 0.6)
    render = TestRender.objects.first()
    for kind, pk in (("render", render.pk), ("raw", render.pk), ("weight", light.pk), ("weight-raw", light.pk)):
        answer = viewer.get(reverse("evaluation:picture", args=(kind, pk, 0)))
        assert answer["Cache-Control"] == "private, max-age=31536000, immutable", kind
    client.force_login(make_user())
    assert client.get(reverse("evaluation:picture", args=("weight", light.pk, 0))).status_code == 302
    assert client.get(reverse("evaluation:compare", args=(run.pk,))).status_code == 302


def test_a_run_on_a_base_that_is_not_here_shows_its_pictures_all_the_same(viewer):
    run = drawn_run(1, base_model="some-base-that-nobody-has")
    assert page_of(viewer, run).count('<img class="punk"') == 6


def test_words_of_people_are_escaped_in_every_cell(viewer):
    prompt = TestPrompt.objects.create(prompt_name="<b>bold</b>", prompt_text='"><script>alert(1)</script>')
    run = drawn_run(1, [prompt], run_name="<i>run</i>")
    other = make_run(run_name="other")
    Checkpoint.objects.create(run=other, epoch=1, file="y", sha256="f" * 64, base_model="miniature", source="trained")
    address = reverse("evaluation:compare", args=(other.pk,))
    raw = viewer.get(f"{address}?run={run.pk}").content.decode()
    for bad in ("<b>bold", "<i>run", "<script>alert"):
        assert bad not in raw
    assert 'alt="&lt;i&gt;run&lt;/i&gt; epoch 1"' in raw
