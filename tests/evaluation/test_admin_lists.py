from __future__ import annotations

import pytest

from tests import console_rows

pytestmark = pytest.mark.django_db


def test_each_list_takes_the_same_few_queries_at_10_and_at_200_rows() -> None:
    client = console_rows.publisher()
    console_rows.fill(10)
    few = {name: console_rows.count_queries(client, address)[0] for name, address in console_rows.lists()}
    console_rows.fill(190, start=10)
    many = {name: console_rows.count_queries(client, address)[0] for name, address in console_rows.lists()}
    assert many == few
    assert {name: n for name, n in many.items() if n > console_rows.MOST_QUERIES} == {}
    assert {"runs_trainingrun", "evaluation_epochresult", "deployment_generation", "django_q_failure"} <= set(many)


def test_the_first_page_of_an_empty_lab_says_what_to_do() -> None:
    _, page = console_rows.count_queries(console_rows.publisher(), "/console/")
    assert b"No epoch waits for scores" in page.content
    assert b"nothing live" in page.content
