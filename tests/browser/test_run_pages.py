"""A person copies a run with one change named, searches its parameters, and keeps a search of the list."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from runs.training import create_run
from tests.browser.people import person
from tests.factories import CONFIG, make_caption_version, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_run_is_copied_after_a_look_at_the_past_and_found_again_by_a_kept_search(log_in):
    captions = make_caption_version("captions_v1")
    create_run("parent", captions=captions, config_text=CONFIG)
    make_run(run_name="past", overall_verdict="partial", key_findings="Dim 4 suffices.", status="completed")
    page = log_in(person("operator"), "/console/runs/trainingrun/?q=parent")

    page.get_by_role("link", name="parent", exact=True).click()
    page.get_by_text("to search").click()
    page.get_by_label("Search parameters").fill("network dim")
    expect(page.get_by_role("row").filter(has_text="network_dim")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="lr_scheduler").first).to_be_hidden()

    page.get_by_role("link", name="New run like this").click()
    page.get_by_label("Name").fill("copy")
    page.get_by_label("Changes:", exact=True).fill("network_dim = 2")
    page.get_by_label("Hypothesis").fill("Simpler.")
    page.get_by_label("Stop early unless").select_option("average")
    page.get_by_label("of epoch").fill("2")
    page.get_by_label("Threshold").fill("6")
    page.get_by_role("button", name="Create run").click()
    expect(page.get_by_text("Look at how the nearest past runs ended, then create it.")).to_be_visible()
    expect(page.get_by_text("Dim 4 suffices.")).to_be_visible()
    page.get_by_role("button", name="Create run").click()
    expect(page.get_by_role("region", name="Plan")).to_contain_text("network_dim 4 → 2")

    page.get_by_role("link", name="Training runs", exact=True).first.click()
    page.locator("#searchbar").fill("copy")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name").fill("my copies")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="my copies", exact=True)).to_be_visible()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
