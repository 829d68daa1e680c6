"""A visitor's journeys, with and without JavaScript, one of them with a real worker and the real miniature."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import expect

from deployment.models import Generation
from tests.deployment.conftest import live, write_picture  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PERMALINK = re.compile(r"/punk/[0-9a-f-]{36}/$")
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def visit(chromium, live, live_server):  # noqa: F811
    """Opens the public page in a context of its own; fails at the end when the browser complained about anything."""
    complaints = []

    def opened(**options):
        page = chromium.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda request: complaints.append(request.url) if live_server.url not in request.url else None
        )
        page.goto(live_server.url)
        return page

    yield opened
    assert complaints == []


@pytest.fixture
def worker(storage):
    """A real worker of the visitors' cluster on this test's database."""
    facts = connection.settings_dict
    host = connection.get_connection_params().get("host", "")
    env = os.environ | {
        "DATABASE_URL": f"postgresql://{facts['USER']}:{facts['PASSWORD']}@/{facts['NAME']}?host={host}",
        "STORAGE_DIR": str(storage),
        "Q_CLUSTER_NAME": settings.VISITORS_CLUSTER,
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen([sys.executable, "manage.py", "qcluster"], cwd=settings.BASE_DIR, env=env)
    yield process
    process.terminate()
    process.wait(30)


def draw(seed=1):
    """What the worker does, at once and without a model."""
    return write_picture(Generation.objects.get(finished=""), seed)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_visitor_chooses_waits_sees_the_punk_and_draws_another(visit, aside):
    page = visit()
    page.get_by_label("lad", exact=True).check()
    page.get_by_label("black", exact=True).check()
    page.get_by_label("On the nose").select_option(label="black stunner shades")
    assert page.locator('.as-lad [data-part="hair"]').get_attribute("fill") == "#101010"
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Draw my punk").click()
    expect(page).to_have_url(PERMALINK)
    expect(page.get_by_role("status")).to_have_text("Your punk is next.")
    aside(draw)
    picture = page.locator("img.punk")
    expect(picture).to_be_visible(timeout=15_000)
    assert picture.evaluate("image => [image.naturalWidth, getComputedStyle(image).imageRendering]") == [
        24,
        "pixelated",
    ]
    expect(page.locator(".facts")).to_contain_text("black hair")
    expect(page.locator(".prompt")).to_contain_text("portrait of bespoke punk lad, black hair")
    with page.expect_download() as download:
        page.get_by_role("link", name="480×480").click()
    assert download.value.suggested_filename.endswith("-480.png")
    first = page.url
    page.get_by_role("link", name="Change something").click()
    expect(page.get_by_label("black", exact=True)).to_be_checked()
    expect(page.get_by_label("Seed")).to_have_value("7")
    page.goto(first)
    page.get_by_role("button", name="Again, another seed").click()
    expect(page.get_by_role("status")).to_have_text("Your punk is next.")
    assert page.url != first


def test_on_a_phone_without_javascript_everything_still_works(visit, aside):
    page = visit(java_script_enabled=False, viewport=PHONE, color_scheme="dark")
    page.get_by_role("button", name="Surprise me").click()
    expect(page).to_have_url(PERMALINK)
    expect(page.get_by_role("status")).to_have_text("Your punk is next.")
    aside(draw)
    expect(page.locator("img.punk")).to_be_visible(timeout=15_000)


def test_nothing_overflows_a_phone_and_the_form_is_usable_by_keyboard(visit):
    page = visit(viewport=PHONE)
    assert fits(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.get_by_label("lady", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("lad", exact=True)).to_be_checked()
    page.get_by_label("Seed").press("Enter")
    expect(page).to_have_url(PERMALINK)
    assert fits(page)
    assert page.locator("dd").first.inner_text() == "lad"


@pytest.mark.diffusion
def test_a_real_worker_draws_the_punk(worker, visit):
    page = visit()
    page.get_by_role("button", name="Draw my punk").click()
    expect(page.locator("img.punk")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="Download 24×24")).to_be_visible()
