from __future__ import annotations

import io
import re

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deployment.generation import accept
from deployment.models import Generation
from evaluation.renderjob import Status
from tests.deployment.conftest import CHOICES, make_promotable, there

pytestmark = pytest.mark.django_db

HOME = "/"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def permalink(row):
    return reverse("deployment:punk", args=(row.key,))


def status_of(row):
    return reverse("deployment:punk_status", args=(row.key,))


def png_of(row):
    return reverse("deployment:punk_png", args=(row.key,))


def test_the_form_offers_the_live_releases_words_in_one_query(client, live, django_assert_num_queries):
    with django_assert_num_queries(1):
        page = client.get(HOME).content.decode()
    for phrase in ("long red hair", "golden crown", "wearing black stunner shades", "dark skin", "slight smile"):
        assert f'value="{phrase}"' in page
    assert "#c02020" in page, "a swatch"
    assert "a demo: the bare base model" in " ".join(page.split())


def test_a_wish_leads_to_its_permalink_in_seven_queries(client, live, django_assert_num_queries):
    with django_assert_num_queries(7):  # the release, and inside its savepoint the lock, the count, row and task
        answer = client.post(HOME, CHOICES | {"seed": "7"})
    row = Generation.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, permalink(row))
    assert (row.choices["hair"], row.seed) == ("long red hair", 7)


def test_surprise_me_chooses_what_is_on_offer(client, live):
    assert client.post(HOME, {"punk": "lad", "surprise": "1"}).status_code == 302
    row = Generation.objects.get()
    assert row.choices["punk"] == "lad"
    assert {"hair", "eyes", "skin", "background"} <= set(row.choices)


def test_surprise_me_keeps_a_seed_that_was_typed_and_refuses_one_that_is_none(client, live):
    assert client.post(HOME, {"surprise": "1", "seed": "11"}).status_code == 302
    assert Generation.objects.get().seed == 11
    assert client.post(HOME, {"surprise": "1", "seed": "many"}).status_code == 422
    assert Generation.objects.count() == 1


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"hair": "black hair"}, "Choose a lady or a lad."),
        (CHOICES | {"hair": "rainbow hair, nude"}, "not on offer"),
        (CHOICES | {"hair": "rainbow " * 9000}, "rain” is not on offer"),
        (CHOICES | {"seed": "many"}, "The seed must be"),
        (CHOICES | {"seed": str(2**32)}, "less than or equal"),
    ],
)
def test_a_wish_that_cannot_be_is_told_what_is_wrong_and_keeps_the_rest(client, live, wish, said):
    answer = client.post(HOME, wish)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert 'role="alert"' in page
    assert not Generation.objects.exists()
    if wish.get("headwear"):
        assert re.search(r'value="golden crown"\s+selected', page)


def test_free_text_reaches_no_prompt(client, live):
    client.post(HOME, CHOICES | {"prompt": "something else", "negative_prompt": "nothing", "lips": "huge"})
    assert "something" not in Generation.objects.get().prompt


def test_a_link_fills_the_form_with_what_is_still_on_offer(client, live):
    page = client.get(HOME, {"punk": "lad", "hair": "black hair", "eyes": "<b>lost</b>", "seed": "12"}).content.decode()
    assert re.search(r'value="black hair"[^>]*checked', page)
    assert re.search(r'value="lad"[^>]*checked', page)
    assert 'value="12"' in page
    assert "lost" not in page
    assert 'role="alert"' not in page


def test_while_nothing_is_live_the_page_says_so_and_takes_no_wish(client):
    assert "Nothing is live yet" in client.get(HOME).content.decode()
    answer = client.post(HOME, CHOICES)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")


def test_a_full_queue_says_when_to_come_back_and_keeps_the_wish(client, live, settings):
    settings.GENERATION_QUEUE_LIMIT = 1
    accept(CHOICES)
    answer = client.post(HOME, CHOICES | {"seed": "7"})
    page = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert '<input type="hidden" name="hair" value="long red hair">' in page
    assert Generation.objects.count() == 1


def test_a_waiting_punk_tells_its_place_and_refreshes_without_script(client, live, django_assert_num_queries):
    accept(CHOICES)
    row = accept(CHOICES)
    with django_assert_num_queries(2):
        answer = client.get(permalink(row))
    page = answer.content.decode()
    assert "1 before yours." in page
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page
    assert answer["Cache-Control"] == "no-store"
    with django_assert_num_queries(2):
        told = client.get(status_of(row))
    assert told.json() == {"status": "queued", "position": 2, "text": "1 before yours.", "done": False}
    Generation.objects.filter(pk=row.pk).update(status=Status.RENDERING)
    assert client.get(status_of(row)).json()["text"] == "Your punk is being drawn."


def test_a_drawn_punk_shows_its_picture_and_all_that_made_it(client, drawn, django_assert_num_queries):
    with django_assert_num_queries(1):
        page = client.get(permalink(drawn)).content.decode()
    for part in (png_of(drawn), drawn.prompt, ">7<", f"release {drawn.release.pk}", "?size=480", "Again, another seed"):
        assert part in page
    assert "refresh" not in page
    assert "hair=long+red+hair" in page
    assert client.get(status_of(drawn)).json()["done"]


def test_a_release_of_an_epoch_is_named_with_its_run(client, drawn):
    drawn.release.checkpoint = there(make_promotable().training_run).checkpoints.get()
    drawn.release.is_demo = False
    drawn.release.save()
    page = client.get(permalink(drawn)).content.decode()
    assert f"{drawn.release.checkpoint.run} epoch 3" in page


@pytest.mark.parametrize(
    ("status", "said"),
    [(Status.FAILED, "could not draw"), (Status.ERRORED, "machine failed"), (Status.CANCELLED, "off the queue")],
)
def test_a_punk_that_failed_says_so_and_offers_the_same_again(client, live, status, said):
    row = accept(CHOICES, seed=7)
    Generation.objects.filter(pk=row.pk).update(status=status, message="/srv/files is full")
    page = client.get(permalink(row)).content.decode()
    assert said in page
    assert "/srv" not in page, "the machine's own business"
    assert "Try again" in page
    assert '<input type="hidden" name="seed" value="7">' in page
    assert client.get(png_of(row)).status_code == 404


def test_a_picture_lost_from_the_storage_is_told_and_can_be_drawn_again(client, drawn):
    drawn.finished_path.unlink()
    page = client.get(permalink(drawn)).content.decode()
    assert "is gone from the lab's storage" in page.replace("&#x27;", "'")
    assert "Try again" in page
    assert client.get(png_of(drawn)).status_code == 404


def test_an_unknown_permalink_is_a_kind_404(client, live):
    answer = client.get(reverse("deployment:punk", args=(UNKNOWN,)))
    assert (answer.status_code, "No such punk" in answer.content.decode()) == (404, True)
    assert client.get(reverse("deployment:punk_status", args=(UNKNOWN,))).json()["done"]
    assert client.get(reverse("deployment:punk_png", args=(UNKNOWN,))).status_code == 404
    assert client.get("/punk/not-a-key/").status_code == 404


def test_the_png_is_the_file_itself_and_may_be_kept_for_ever(client, drawn, django_assert_num_queries):
    with django_assert_num_queries(1):
        answer = client.get(png_of(drawn))
    assert answer.content == drawn.finished_path.read_bytes()
    assert (answer["Content-Type"], "immutable" in answer["Cache-Control"]) == ("image/png", True)
    assert "attachment" not in answer["Content-Disposition"]


def test_enlargements_have_hard_edges_and_keep_the_metadata(client, drawn):
    picture = Image.open(drawn.finished_path)
    info = PngInfo()
    info.add_text("punklab.request", "what made it")
    picture.save(drawn.finished_path, pnginfo=info)
    answer = client.get(png_of(drawn), {"size": "480"})
    enlarged = Image.open(io.BytesIO(answer.content))
    assert enlarged.size == (480, 480)
    assert enlarged.resize((24, 24), Image.Resampling.NEAREST).tobytes() == picture.tobytes()
    assert set(np.unique(np.asarray(enlarged))) == set(np.unique(np.asarray(picture)))
    assert enlarged.info["punklab.request"] == "what made it"


@pytest.mark.parametrize("size", ["25", "100000", "-24", "24.0", "", "x"])
def test_other_sizes_are_refused(client, drawn, size):
    assert client.get(png_of(drawn), {"size": size}).status_code == 400


def test_public_pages_allow_nothing_from_elsewhere_and_nothing_inline(client, drawn):
    for address in (HOME, permalink(drawn), png_of(drawn), status_of(drawn)):
        answer = client.get(address)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    for address in (HOME, permalink(drawn)):
        page = client.get(address).content.decode()
        assert not re.search(r"<style|style=|\son\w+=|javascript:|https?://(?!www\.w3\.org)", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_visitors_get_no_cookie_but_the_forms_own(client, drawn):
    for address in (HOME, permalink(drawn), png_of(drawn), status_of(drawn)):
        client.get(address)
    assert set(client.cookies) <= {"csrftoken"}


def test_a_wish_needs_the_forms_token(live):
    assert Client(enforce_csrf_checks=True).post(HOME, CHOICES).status_code == 403


@pytest.mark.parametrize("name", ["punk", "punk_status", "punk_png"])
def test_permalinks_are_only_read(client, drawn, name):
    assert client.post(reverse(f"deployment:{name}", args=(drawn.key,))).status_code == 405
    assert client.head(reverse(f"deployment:{name}", args=(drawn.key,))).status_code == 200


def test_the_page_is_small(client, live, settings):
    sent = len(client.get(HOME).content)
    folder = settings.BASE_DIR / "templates" / "static" / "deployment"
    sent += sum((folder / name).stat().st_size for name in ("site.css", "generator.js", "favicon.svg"))
    assert sent < 100_000
