"""An operator's work on captions in a real browser, without the mouse."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from punklab import roles
from runs.caption_findings import find
from runs.caption_models import CaptionEdit
from runs.caption_states import counts_of, state_of, states
from runs.models import Caption, CaptionVersion, TrainingImage
from tests.browser.people import person
from tests.factories import CAPTION, make_caption_version, make_user
from tests.pixels.drawing import punk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "correct horse"


@pytest.fixture
def version() -> CaptionVersion:
    made = make_caption_version("first", pairs=3)
    make_caption_version("second", pairs=3, caption=CAPTION.replace("brown", "black"))
    file = io.BytesIO()
    Image.fromarray(punk()).save(file, "PNG")
    png = file.getvalue()
    image = TrainingImage.objects.create(sha256=hashlib.sha256(png).hexdigest(), png=png, width=24, height=24)
    Caption.objects.filter(version=made, stem="lady_001").update(image=image)
    return made


def test_captions_are_edited_checked_kept_and_approved_by_keyboard(
    chromium, live_server, settings, version, aside
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
    roles.sync()
    name = make_user("operator", password=PASSWORD).username
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{live_server.url}/console/login/?next=/console/captions/{version.pk}/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="lady_001", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="lady_001").first).to_be_visible()
    for part in ("background", "hair", "skin", "eyes"):
        expect(page.locator(f".cells path.part-{part}")).to_be_visible()

    page.keyboard.press("?")
    expect(page.get_by_text("approve and go on")).to_be_visible()
    page.keyboard.press("e")
    text = page.get_by_label("Caption", exact=True)
    expect(text).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type(", a hat and ")
    expect(page.locator("#checked mark", has_text="a hat and")).to_be_visible()
    expect(page.locator("#saved")).to_have_text("kept")
    assert aside(lambda: state_of(version, "lady_001").text) == f"{CAPTION}, a hat and "

    page.locator("[data-hex='#0066ff']").first.focus()
    page.keyboard.press("Enter")
    expect(text).to_have_value(f"{CAPTION}, a hat and #0066ff")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved lady_001.")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("Back to the step before: lady_001.")).to_be_visible()
    expect(text).to_have_value(f"{CAPTION}, a hat and ")
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type("typed in haste")
    page.keyboard.press("Escape")
    page.keyboard.press("u")  # before it was kept by itself: it is a step all the same
    expect(text).to_have_value(f"{CAPTION}, a hat and ")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="lady_002").first).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="lady_003").first).to_be_visible()
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="lady_002").first).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.type("typed and left")
    page.goto(f"{live_server.url}/console/captions/{version.pk}/one/lady_003/")  # before it was kept by itself
    page.keyboard.press("s")
    expect(page.get_by_text("That was the last one of this list.")).to_be_visible()
    assert aside(lambda: counts_of(states(version))) == {"pending": 0, "approved": 1, "edited": 1, "skipped": 1}
    assert aside(lambda: state_of(version, "lady_002").text) == "typed and left"
    assert aside(lambda: set(Caption.objects.filter(version=version).values_list("text", flat=True))) == {CAPTION}
    assert aside(lambda: CaptionEdit.objects.filter(stem="lady_001", text__endswith="haste").count()) == 1

    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("", "one/lady_001/", "fixes/", "replace/?find=hair&replacement=curls", "version/"):
        page.goto(f"{live_server.url}/console/captions/{version.pk}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert complaints == []


def test_findings_appear_by_themselves_once_the_queue_has_found_them(log_in, version, aside) -> None:
    page = log_in(person("viewer"), f"/console/captions/{version.pk}/")
    row = page.get_by_role("row").filter(has_text="lady_002")
    expect(page.get_by_role("status").filter(has_text="are being checked")).to_be_visible()
    expect(row).to_contain_text("being checked")
    aside(lambda: find(version.pk))
    expect(row).to_contain_text("few_hex_codes", timeout=10_000)
    expect(page.locator("[data-awaited]")).to_have_count(0)
