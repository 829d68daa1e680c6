from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from evaluation import simulation
from evaluation.convergence import Patience, stops
from tests.evaluation.test_trend import make_scored
from tests.factories import make_run, make_user


def by_rule():
    return {cost.rule: cost for cost in simulation.costs().costs}


def test_regret_is_what_is_missed_after_the_stop_and_saving_what_is_not_trained():
    history = [5, 7, 6, 8, 9]
    assert simulation.outcome(history, simulation.first_dip) == pytest.approx((2, 0.4))
    assert simulation.outcome(history, lambda seen: stops(seen, Patience())) == (0, 0)


def test_stopping_at_the_first_dip_regrets_clearly_more_than_the_default_where_the_best_comes_late():
    found = by_rule()
    naive, default = found["stop at the first dip"], found["patience 3"]
    assert default.is_default
    assert naive.regret > 5 * default.regret
    assert naive.regret - default.regret > 0.5
    late = list(simulation.SHAPES).index("dips before the best")
    assert naive.by_shape[late][0] - default.by_shape[late][0] > 1


def test_the_default_still_saves_epochs_where_the_best_comes_early():
    early = list(simulation.SHAPES).index("best early")
    regret, saved = by_rule()["patience 3"].by_shape[early]
    assert saved > 0.3
    assert regret < 0.1


def test_more_patience_regrets_less_and_saves_less():
    costs = [by_rule()[f"patience {n}"] for n in simulation.PATIENCES]
    assert [cost.regret for cost in costs] == sorted((cost.regret for cost in costs), reverse=True)
    assert [cost.saved for cost in costs] == sorted((cost.saved for cost in costs), reverse=True)


def test_histories_are_averages_of_whole_scores_and_the_same_every_time():
    for shape in simulation.SHAPES:
        found = simulation.histories(shape, 3)
        assert found == simulation.histories(shape, 3)
        assert all(0 <= each <= 10 and round(each * 3) == pytest.approx(each * 3) for row in found for each in row)


def test_the_command_prints_the_table_that_the_docs_hold(settings):
    out = StringIO()
    call_command("simulate_patience", stdout=out)
    assert out.getvalue().strip() in (settings.BASE_DIR / "docs" / "judging.md").read_text()


@pytest.mark.django_db
def test_the_page_shows_what_patience_costs(client):
    run = make_run()
    make_scored(run, 1, 7)
    client.force_login(make_user("viewer"))
    page = client.get(reverse("evaluation:trend", args=(run.pk,))).content.decode()
    assert f"<td>{by_rule()['stop at the first dip'].regret:.2f}</td>" in page
