from __future__ import annotations

import pytest
from django.urls import reverse

from evaluation import convergence, selection
from evaluation.selection import Candidate, SelectionError
from evaluation.trend_models import BestEpochChoice
from runs.models import TrainingRun
from tests.evaluation.test_trend import make_scored
from tests.factories import make_run, make_user


def candidate(
    epoch: int, average: float, issues: tuple[str, ...] | None = (), passed: float | None = None
) -> Candidate:
    return Candidate(epoch=epoch, average=average, issues=None if issues is None else frozenset(issues), passed=passed)


@pytest.mark.parametrize(
    ("known", "best", "why"),
    [
        ([candidate(1, 6), candidate(2, 8), candidate(3, 7)], 2, "Runner-up: epoch 3 with 7.0. It averages 1.0 less."),
        (
            [candidate(1, 8, ("wrong_eyes", "a_b")), candidate(2, 8, ("wrong_eyes",))],
            2,
            "averages the same, but has more issues: a b, wrong eyes.",
        ),
        ([candidate(1, 8, None), candidate(2, 8)], 2, "nobody said what is wrong with it"),
        (
            [candidate(1, 8, passed=0.6), candidate(2, 8, passed=0.9)],
            2,
            "its pictures pass only 60 % of the checks.",
        ),
        ([candidate(1, 8, passed=0.91), candidate(2, 8, passed=0.93)], 1, "the earlier epoch is the less overtrained"),
        (
            [candidate(1, 7, ()), candidate(2, 8, ("a",))],
            2,
            "It averages 1.0 less, though it has fewer issues (none).",
        ),
    ],
)
def test_the_best_epoch_and_why_the_runner_up_lost(known, best, why):
    found = selection.select(known)
    assert found.epoch == best
    assert why in " ".join(found.reasons)


def test_without_a_persons_scores_there_is_no_best_epoch():
    found = selection.select([])
    assert found.epoch is None
    assert found.reasons == ["No person has scored an epoch yet: there is no best one."]


@pytest.fixture
def run(db) -> TrainingRun:
    run = make_run(run_name="chosen")
    for epoch, score in enumerate((5, 8, 7), start=1):
        make_scored(run, epoch, score, issues_detail=[])
    make_scored(run, 4, 10, observations="Auto-scored")
    return run


def test_the_scores_of_a_script_never_make_an_epoch_the_best(run):
    assert selection.for_run(run).epoch == 2


def test_an_operator_overrules_the_computed_epoch_with_a_reason_and_goes_back(client, run):
    address = reverse("admin:runs_trainingrun_act", args=(run.pk, "choose-best"))
    client.force_login(make_user("reviewer"))
    assert client.post(address, {"epoch": 3, "reason": "Cleaner."}).status_code == 403
    operator = make_user("operator", username="olive")
    client.force_login(operator)
    assert "Say why" in client.post(address, {"epoch": 3, "reason": " "}).content.decode()
    refused = client.post(address, {"epoch": 9, "reason": "Cleaner."}).content.decode()
    assert "chosen has no row for epoch 9: there are 1, 2, 3, 4." in refused
    assert not BestEpochChoice.objects.exists()
    client.post(address, {"epoch": 3, "reason": "Cleaner <eyes>."})
    run.refresh_from_db()
    assert run.best_epoch == 3
    found = convergence.for_run(run)
    assert found.best_epoch == 3
    assert "Chosen as the best by a person: epoch 3." in found.reason
    page = client.get(reverse("evaluation:trend", args=(run.pk,))).content.decode()
    assert "<strong>Epoch 3</strong>, chosen by olive" in page
    assert "Cleaner &lt;eyes&gt;." in page
    assert "Computed: epoch 2." in page
    client.post(address, {"epoch": "", "reason": "A mistake."})
    run.refresh_from_db()
    assert run.best_epoch == 2
    assert selection.for_run(run).epoch == 2
    kept = BestEpochChoice.objects.order_by("pk").values_list("epoch_result__epoch_number", "reason", "by__username")
    assert list(kept) == [(3, "Cleaner <eyes>.", "olive"), (None, "A mistake.", "olive")]


def test_a_run_without_epochs_has_none_to_choose(client, db):
    run = make_run()
    client.force_login(make_user("operator"))
    address = reverse("admin:runs_trainingrun_act", args=(run.pk, "choose-best"))
    assert "The run has no epoch to choose yet." in client.get(address).content.decode()
    client.post(address, {"epoch": 1, "reason": "because"})
    assert not BestEpochChoice.objects.exists()


def test_nothing_computed_is_nothing_to_go_back_to(db):
    run = make_run()
    make_scored(run, 1, None)
    with pytest.raises(SelectionError, match="name one"):
        selection.choose(run, None, "because", by=None)
    selection.choose(run, 1, "because", by=None)
    found = convergence.for_run(run)
    assert found.best_epoch == 1
    assert found.reason == "No epoch has been scored yet. Chosen as the best by a person: epoch 1."
