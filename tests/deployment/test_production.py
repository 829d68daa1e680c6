from __future__ import annotations

from django.urls import reverse

from deployment.models import Release
from deployment.production import production_checklist
from deployment.promotion import promote
from tests.deployment.conftest import make_promotable, there
from tests.factories import make_user


def test_a_run_s_last_checklist_is_ticked_by_its_release(live, client):
    epoch = make_promotable()
    run = there(epoch.training_run)
    before = {item.text: item.done for item in production_checklist(run).items}
    assert before == {
        "Generator draws with it": False,
        "Drawn again and found the same": True,
        "Documented": False,
        "Old model archived": False,
    }
    by = make_user("publisher")
    promote(epoch, by=by, reason="The best of the three.")
    items = {item.text: item for item in production_checklist(run).items}
    assert all(item.done for item in items.values())
    assert items["Documented"].detail == "The best of the three."
    assert items["Old model archived"].detail == "1 former release kept, to roll back to"
    client.force_login(by)
    page = client.get(reverse("admin:runs_trainingrun_change", args=(run.pk,))).content.decode()
    assert "If production ready" in page
    Release.objects.filter(pk=there(Release.objects.live()).pk).update(retired_at="2026-01-01T00:00Z")
    assert production_checklist(run).items[0].detail == "it was live before"
