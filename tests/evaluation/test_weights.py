from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.urls import reverse
from django_q.models import OrmQ

from deployment.verification import judged_render
from evaluation import results, suite, tasks, weights
from evaluation.gallery import cards_of
from evaluation.matrix_models import WeightRender
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab.diffusion.request import RenderRequest
from runs.bases import base_for
from runs.checkpoints import base_alone
from tests.factories import make_checkpoint, make_user
from tests.matrix_rows import at_weight, drawn_run, suite_prompts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("six_prompts")]


def act_of(run) -> str:
    return reverse("admin:runs_trainingrun_act", args=(run.pk, "draw-weights"))


@pytest.mark.parametrize(
    ("text", "found"), [("0, 0.4,1.2", (0.0, 0.4, 1.2)), ("1 1.0; 0.5", (0.5, 1.0)), (" .333333 ", (0.33,))]
)
def test_weights_are_read_as_people_write_them(text, found):
    assert weights.parse(text) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "No weight is given"),
        ("a lot", "'a lot' are no weights"),
        ("nan", "nan is no weight"),
        ("3", "3 is no weight to draw with: they go from 0 to 2."),
        (",".join(str(n / 10) for n in range(13)), "13 weights are too many at once: 12 at most."),
    ],
)
def test_what_is_no_weight_is_refused_with_a_sentence(text, told):
    with pytest.raises(weights.WeightError, match=told):
        weights.parse(text)


def test_nought_and_one_are_the_bases_and_the_suites_own_pictures(monkeypatch):
    checkpoint = make_checkpoint()
    by = make_user("operator")
    assert weights.queue(checkpoint, weights.USUAL, by) == 6 * 6
    base = base_alone(base_for("miniature"))
    assert base.test_renders.count() == checkpoint.test_renders.count() == 6
    rows = WeightRender.objects.all()
    assert sorted(set(rows.values_list("lora_weight", flat=True))) == [0.4, 0.6, 0.8, 1.2]
    for row in rows:
        assert (row.checkpoint, row.by, row.status) == (checkpoint, by, Status.QUEUED)
        request = RenderRequest(**row.request)
        assert (request.lora_weight, request.lora_sha256) == (row.lora_weight, checkpoint.sha256)
        (judged,) = checkpoint.test_renders.filter(test_prompt=row.test_prompt)
        assert {**row.request, "lora_weight": 1.0} == judged.request, "nothing but the weight differs"
    assert weights.queue(checkpoint, weights.USUAL, by) == 0
    for weight in (0.0, 1.0):
        with pytest.raises(IntegrityError, match="punklab_weight_render_is_another"), transaction.atomic():
            at_weight(checkpoint, suite_prompts()[0], weight)


def test_what_failed_or_was_cancelled_is_queued_once_more_and_a_lost_task_is_found(settings):
    checkpoint = make_checkpoint()
    weights.queue(checkpoint, [0.5])
    WeightRender.objects.filter(pk=WeightRender.objects.first().pk).update(status=Status.FAILED, message="a sentence")
    assert weights.cancel(checkpoint) == 5
    assert weights.queue(checkpoint, [0.5]) == 6
    assert set(WeightRender.objects.values_list("status", "message")) == {(Status.QUEUED, "")}
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert [task.task["args"] for task in OrmQ.objects.all()] == [(checkpoint.pk,)]


def test_pictures_at_other_weights_never_count_as_an_epochs_own():
    run = drawn_run(1)
    checkpoint = run.checkpoints.get()
    TestRender.objects.all().delete()
    for prompt in suite_prompts():
        at_weight(checkpoint, prompt, 0.6)
    assert results.summarise(checkpoint) is None
    assert judged_render(checkpoint) is None
    assert cards_of(run)[0].pictures == []
    tasks.measure_drawn(checkpoint)
    row = run.epoch_results.get()
    assert (row.quantitative_metrics, row.test_image_paths) == (None, None)


def test_a_checkpoint_without_a_lora_has_no_weight():
    with pytest.raises(suite.SuiteError, match="has no LoRA whose weight could change"):
        weights.queue(base_alone(base_for("miniature")), [0.5])


def test_an_operator_draws_epochs_with_weights_and_a_reviewer_may_not(client):
    checkpoint = make_checkpoint(epoch=3)
    operator = make_user("operator")
    client.force_login(operator)
    asked = {"epochs": "3", "weights": "0.5, 1.5"}
    page = client.post(act_of(checkpoint.run), asked, follow=True).content.decode()
    assert "12 pictures are queued; the matrix shows them." in page
    assert set(WeightRender.objects.values_list("by", flat=True)) == {operator.pk}
    assert "Nothing was missing" in client.post(act_of(checkpoint.run), asked, follow=True).content.decode()
    for given, told in (
        ({"epochs": "3-4", "weights": "0.5"}, "has no LoRA file of epoch 4."),
        ({"epochs": "3", "weights": "3"}, "3 is no weight to draw with"),
        ({"epochs": "x", "weights": "0.5"}, "is no epoch"),
    ):
        assert told in client.post(act_of(checkpoint.run), given).content.decode()
    row = results.epoch_result_for(checkpoint)
    epoch = reverse("admin:evaluation_epochresult_act", args=(row.pk, "draw-weights"))
    assert "6 pictures are queued" in client.post(epoch, {"weights": "0.7"}, follow=True).content.decode()
    n_waiting = WeightRender.objects.filter(status=Status.QUEUED).count()
    cancel = reverse("admin:runs_trainingrun_act", args=(checkpoint.run.pk, "cancel-tests"))
    assert f"{n_waiting} test pictures were taken off" in client.post(cancel, follow=True).content.decode()
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    for address in (act_of(checkpoint.run), epoch):
        assert client.post(address, asked).status_code == 403
    with pytest.raises(PermissionDenied, match="may not queue test pictures"):
        weights.queue(checkpoint, [0.5], reviewer)
