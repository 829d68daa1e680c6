from __future__ import annotations

import csv
import json
from collections import defaultdict
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from evaluation import convergence
from evaluation.models import EpochResult
from tests.factories import make_run

# The averages that people gave to the lab's third run, rounded
THIRD_RUN = [5.3, 5.3, 6.7, 3.3, 5.7, 4, 4, 4.3]


def judge(*averages):
    found = convergence.judge(list(enumerate(averages, start=1)))
    return str(found.state), str(found.action), found.best_epoch


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        ((), ("too_early", "continue", None)),
        ((6,), ("too_early", "continue", 1)),
        ((9, 5), ("too_early", "continue", 1)),
        ((6, 7, 7), ("improving", "continue", 2)),
        ((5, 6, 7), ("improving", "continue", 3)),
        ((7, 7, 7), ("plateau", "check", 1)),
        ((6, 7, 6.7, 7), ("plateau", "check", 2)),
        ((9, 8, 6), ("degrading", "stop", 1)),
        ((6, 8, 7.7, 7.3), ("degrading", "stop", 2)),
        ((6, 7, 6, 5), ("degrading", "check", 2)),
        ((9, 7, 8, 7), ("degrading", "stop", 1)),
    ],
)
def test_the_lab_s_patterns_are_told_apart(averages, expected):
    assert judge(*averages) == expected


@pytest.mark.parametrize("dip", [6.9, 5, 0])
def test_one_dip_never_stops_a_run_however_deep(dip):
    assert judge(8, 9, dip)[1] == "continue"
    assert judge(8, 9, dip, 9)[1] != "stop"


def test_the_third_run_would_have_been_stopped_after_its_sixth_epoch_with_the_third_as_the_best():
    actions = [judge(*THIRD_RUN[:n])[1] for n in range(1, 9)]
    assert actions == ["continue"] * 4 + ["check", "stop", "stop", "stop"]
    assert judge(*THIRD_RUN) == ("degrading", "stop", 3)


def test_the_lab_s_own_rows_are_judged_as_the_lab_did(shared):
    averages = defaultdict(list)
    with (shared / "legacy" / "epoch_results.csv").open() as file:
        for row in csv.DictReader(file):
            scores = [row[name] for name in EpochResult.SCORES]
            if all(scores):
                averages[row["training_run_id"]].append((int(row["epoch_number"]), sum(map(int, scores)) / 3))
    assert convergence.judge(averages["3"]).action == "stop"
    assert convergence.judge(averages["3"]).best_epoch == 3
    assert [round(average, 1) for _, average in sorted(averages["3"])] == THIRD_RUN
    assert convergence.judge(averages["1"]).best_epoch == 7


def test_a_longer_patience_waits_longer():
    patience = convergence.Patience(below_best=5)
    assert convergence.judge(list(enumerate(THIRD_RUN[:6], start=1)), patience).action == "check"
    assert convergence.judge(list(enumerate(THIRD_RUN, start=1)), patience).action == "stop"


def test_epochs_count_in_their_order_whatever_the_order_of_the_rows():
    assert convergence.judge([(3, 7.0), (1, 5.0), (2, 6.0)]).state == "improving"


@pytest.fixture
def scored_run(db):
    run = make_run(run_name="third")
    for epoch, score in enumerate((5, 5, 7, 3), start=1):
        values = dict.fromkeys(EpochResult.SCORES, score)
        EpochResult.objects.create(training_run=run, epoch_number=epoch, observations="Noisy.", **values)
    return run


def test_scores_that_a_script_gave_never_count(scored_run):
    EpochResult.objects.filter(epoch_number=3).update(observations="Auto-scored by test_suite.py")
    found = convergence.for_run(scored_run)
    assert found.best_epoch == 1
    EpochResult.objects.update(observations="auto-scored")
    found = convergence.for_run(scored_run)
    assert (found.state, found.action, found.best_epoch) == ("too_early", "continue", None)
    assert "machine scores (4 epochs) do not count" in found.reason


def test_the_command_prints_the_four_facts_as_json(scored_run):
    out = StringIO()
    call_command("convergence", "third", format="json", stdout=out)
    found = json.loads(out.getvalue())
    assert list(found) == ["state", "action", "best_epoch", "reason"]
    assert found["best_epoch"] == 3


def test_an_unknown_run_is_refused_with_the_nearest_name(scored_run):
    with pytest.raises(CommandError, match="there are: third"):
        call_command("convergence", "thrid")
