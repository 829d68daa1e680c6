"""Who may do what, asked at the real addresses: each action for each role."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from evaluation.models import EpochResult
from punklab.roles import OPERATOR, PUBLISHER, REVIEWER, ROLES, VIEWER
from tests.evaluation.test_desk import make_epoch
from tests.factories import make_caption_version, make_run, make_user

pytestmark = pytest.mark.django_db

# name, method, the first role that may; {run}, {epoch}, {result}, {version} are keys
ACTIONS = [
    ("see the first page", "get", VIEWER, "/console/"),
    ("see a run", "get", VIEWER, "/console/runs/trainingrun/{run}/change/"),
    ("see an epoch", "get", VIEWER, "/console/evaluation/epochresult/{epoch}/change/"),
    ("see a history", "get", VIEWER, "/console/evaluation/epochresult/{epoch}/history/"),
    ("see the desk", "get", VIEWER, "/console/review/{epoch}/"),
    ("see the matrix", "get", VIEWER, "/console/compare/{run}/"),
    ("see blind tests", "get", VIEWER, "/console/pairs/"),
    ("see readiness", "get", VIEWER, "/console/ready/{epoch}/"),
    ("see captions", "get", VIEWER, "/console/captions/{version}/"),
    ("score", "post", REVIEWER, "/console/review/{epoch}/"),
    ("keep a draft", "post", REVIEWER, "/console/review/{epoch}/draft/"),
    ("discard a draft", "post", REVIEWER, "/console/review/{epoch}/discard/"),
    ("take scores back", "post", REVIEWER, "/console/review/{epoch}/undo/"),
    ("judge a picture", "post", REVIEWER, "/console/review/picture/{result}/"),
    ("start a blind test", "get", REVIEWER, "/console/pairs/start/{epoch}/"),
    ("create a run", "get", OPERATOR, "/console/runs/trainingrun/add/"),
    ("start a training", "get", OPERATOR, "/console/runs/trainingrun/{run}/act/start/"),
    ("close a run", "get", OPERATOR, "/console/runs/trainingrun/{run}/act/close/"),
    ("queue tests", "get", OPERATOR, "/console/evaluation/epochresult/{epoch}/act/queue-tests/"),
    ("draw with weights", "get", OPERATOR, "/console/evaluation/epochresult/{epoch}/act/draw-weights/"),
    ("draw a full comparison", "get", OPERATOR, "/console/runs/trainingrun/{run}/act/full-comparison/"),
    ("replace in captions", "post", OPERATOR, "/console/captions/{version}/replace/"),
    ("make a caption version", "post", OPERATOR, "/console/captions/{version}/version/"),
    ("import runs", "get", OPERATOR, "/console/runs/trainingrun/import/"),
    ("verify", "get", PUBLISHER, "/console/evaluation/epochresult/{epoch}/act/verify/"),
    ("promote", "get", PUBLISHER, "/console/evaluation/epochresult/{epoch}/act/promote/"),
]


@pytest.fixture
def keys(db: None) -> dict[str, int]:
    version = make_caption_version("fresh")
    run = make_run(caption_version=version.version_name)
    epoch = make_epoch(run, 1)
    return {"run": run.pk, "epoch": epoch.pk, "result": epoch.prompt_results.all()[0].pk, "version": version.pk}


@pytest.mark.parametrize(("name", "method", "least", "address"), ACTIONS, ids=[action[0] for action in ACTIONS])
def test_an_action_is_open_from_its_role_on_and_closed_to_those_before(client, keys, name, method, least, address):
    found = {}
    for role in ROLES:
        client.force_login(make_user(role))
        found[role] = getattr(client, method)(address.format(**keys)).status_code != 403
    assert found == {role: ROLES.index(role) >= ROLES.index(least) for role in ROLES}


@pytest.mark.parametrize(("name", "method", "least", "address"), ACTIONS, ids=[action[0] for action in ACTIONS])
def test_nobody_gets_anywhere_without_a_log_in(client, keys, name, method, least, address):
    answer = getattr(client, method)(address.format(**keys))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))


def test_nobody_promotes_by_typing_into_a_form(client, keys):
    client.force_login(make_user(PUBLISHER))
    typed: dict[str, Any] = {
        "training_run": keys["run"],
        "epoch_number": 1,
        "production_ready": "on",
        "verdict": "best",
        "visual_quality_score": 10,
        "notes": "typed",
    }
    typed |= {f"initial-{name}": typed[name] for name in ("training_run", "epoch_number")}
    answer = client.post(reverse("admin:evaluation_epochresult_change", args=(keys["epoch"],)), typed)
    assert answer.status_code == 302
    row = EpochResult.objects.get(pk=keys["epoch"])
    assert (row.notes, row.production_ready, row.verdict, row.visual_quality_score) == ("typed", False, None, None)
