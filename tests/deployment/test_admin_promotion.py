from __future__ import annotations

from html import unescape

import pytest
from django.urls import reverse

from deployment.models import Release
from evaluation.models import EpochResult
from tests.deployment.conftest import make_promotable
from tests.factories import make_run, make_user

pytestmark = pytest.mark.django_db


def _act(result: EpochResult, name: str) -> str:
    return reverse("admin:evaluation_epochresult_act", args=(result.pk, name))


def test_the_promotion_page_lists_everything_that_stands_in_the_way_and_offers_no_button(client) -> None:
    result = EpochResult.objects.create(training_run=make_run(), epoch_number=1, is_photorealistic=True)
    client.force_login(make_user("publisher"))
    page = unescape(client.get(_act(result, "promote")).content.decode())
    assert "Nobody has scored it" in page
    assert "It is marked as photorealistic." in page
    assert 'value="Promote"' not in page
    assert client.post(_act(result, "promote"), {"reason": "because"}).status_code == 200
    assert not Release.objects.exists()


def test_a_publisher_promotes_with_a_reason_and_the_release_shows_as_live(client) -> None:
    result = make_promotable()
    publisher = make_user("publisher")
    client.force_login(publisher)
    assert "This field is required" in client.post(_act(result, "promote"), {"reason": ""}).content.decode()
    assert not Release.objects.exists()
    answer = client.post(_act(result, "promote"), {"reason": "The best so far."}, follow=True)
    assert "is live" in answer.content.decode()
    release = Release.objects.get()
    assert (release.by, release.reason, release.is_live) == (publisher, "The best so far.", True)
    listed = client.get(reverse("admin:deployment_release_changelist")).content.decode()
    assert '<span class="badge badge-good">live</span>' in listed
    page = client.get(reverse("admin:deployment_release_change", args=(release.pk,)))
    assert "The best so far." in page.content.decode()
    assert "_save" not in page.content.decode()


@pytest.mark.parametrize("role", ["viewer", "reviewer", "operator"])
def test_nobody_below_a_publisher_may_promote_or_verify(client, role) -> None:
    result = make_promotable()
    client.force_login(make_user(role))
    page = client.get(reverse("admin:evaluation_epochresult_change", args=(result.pk,))).content.decode()
    for name in ("promote", "verify"):
        assert _act(result, name) not in page
        assert client.get(_act(result, name)).status_code == 403
        assert client.post(_act(result, name), {"reason": "mine"}).status_code == 403
    assert not Release.objects.exists()


def test_a_publisher_has_a_judged_picture_drawn_again(client) -> None:
    result = make_promotable()
    client.force_login(make_user("publisher"))
    answer = client.post(_act(result, "verify"), follow=True)
    assert "is being drawn again" in answer.content.decode()
