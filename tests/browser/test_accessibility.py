"""What axe-core finds on the console's and the public pages, in light and dark: no serious fault."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from evaluation import scoring
from evaluation.models import TestPrompt
from tests.browser.people import person
from tests.evaluation.test_desk import make_epoch, suggest
from tests.factories import make_caption_version, make_run, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pages(db) -> list[str]:
    """The addresses of pages with something on each."""
    for name in ("lady", "lad"):
        TestPrompt.objects.create(prompt_name=name, prompt_text=f"a {name} with pink hair")
    version = make_caption_version("fresh")
    run = make_run(run_name="looked_at", caption_version=version.version_name)
    first, second, _ = (make_epoch(run, number) for number in (1, 2, 3))
    suggest(second, 6, 7, 8)
    scoring.score(first, 8, 8, 8, "Clean.", by=make_user("reviewer"), issues=["random_pixels"])
    return [
        reverse("admin:index"),
        reverse("admin:runs_trainingrun_changelist"),
        reverse("admin:runs_trainingrun_change", args=(run.pk,)),
        reverse("admin:runs_trainingrun_history", args=(run.pk,)),
        reverse("admin:runs_captionversion_change", args=(version.pk,)),
        reverse("admin:evaluation_epochresult_changelist"),
        reverse("admin:evaluation_epochresult_change", args=(first.pk,)),
        reverse("evaluation:review_epoch", args=(second.pk,)),
        reverse("evaluation:review") + f"?after={second.pk}",
        reverse("evaluation:compare", args=(run.pk,)),
        reverse("evaluation:trend", args=(run.pk,)),
        reverse("evaluation:measures"),
        reverse("evaluation:pairs"),
        reverse("evaluation:pairs_start", args=(second.pk,)),
        reverse("readiness:ready", args=(first.pk,)),
        reverse("runs:captions", args=(version.pk,)),
        "/",
    ]


def test_no_page_has_a_serious_fault(log_in, live_server, pages) -> None:
    page = log_in(person("publisher"), "/console/")
    axe: Axe = Axe()
    found: list[tuple[str, str, str, list[str]]] = []
    for address in pages:
        page.emulate_media(color_scheme="light")
        page.goto(live_server.url + address)
        # What is dark differs in nothing but colours
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function("document.getAnimations().length === 0")  # links fade into their new colour
            options = {"preload": False, "resultTypes": ["violations"], **rules}
            found += [
                (address, scheme, fault["id"], [node["html"][:120] for node in fault["nodes"][:3]])
                for fault in axe.run(page, options=options).response["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
    assert found == []
