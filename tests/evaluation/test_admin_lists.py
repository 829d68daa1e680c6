from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests import console_rows
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_each_list_takes_the_same_few_queries_at_10_and_at_200_rows() -> None:
    client = console_rows.publisher()
    console_rows.fill(10)
    few = {name: console_rows.count_queries(client, address)[0] for name, address in console_rows.lists()}
    console_rows.fill(190, start=10)
    many = {name: console_rows.count_queries(client, address)[0] for name, address in console_rows.lists()}
    assert many == few
    assert {name: n for name, n in many.items() if n > console_rows.most_queries(name)} == {}
    assert {"runs_trainingrun", "evaluation_epochresult", "deployment_generation", "django_q_failure"} <= set(many)


def test_the_first_page_of_an_empty_lab_says_what_to_do() -> None:
    _, page = console_rows.count_queries(console_rows.publisher(), "/console/")
    assert b"Nothing: no epoch waits for scores, nothing failed." in page.content
    assert b"nothing live" in page.content


def test_every_rows_page_opens_for_a_viewer_and_offers_no_saving() -> None:
    console_rows.fill(1)
    client = Client()
    client.force_login(make_user("viewer"))
    for model in admin.site._registry:
        if model._meta.app_label == "auth":
            continue
        row = model._default_manager.first()
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if row is None:
            assert name == "django_q_success"  # the one task that was made failed
            continue
        page = client.get(reverse(f"admin:{name}_change", args=(row.pk,)))
        assert page.status_code == 200, name
        assert b'name="_save"' not in page.content, name
