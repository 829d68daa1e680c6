from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.urls import reverse
from tablib import Dataset

from evaluation import picture_reviews, scoring
from evaluation.models import EpochResult, PromptTestResult, TestPrompt
from evaluation.picture_reviews import Word
from evaluation.resources import EpochResultResource
from runs.models import TrainingRun
from tests.factories import make_run, make_user

pytestmark = pytest.mark.django_db


def history(client, row) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_history"
    return client.get(reverse(name, args=(row.pk,))).content.decode()


def test_a_changed_value_is_kept_with_who_changed_it_and_what_it_was(client):
    client.force_login(make_user("operator", username="olga"))
    prompt = TestPrompt.objects.create(prompt_name="lady", prompt_text="a lady", purpose="old words")
    before = {"prompt_name": "lady", "prompt_text": "a lady", "purpose": "old words"}
    sent = before | {"purpose": "new words"} | {f"initial-{name}": value for name, value in before.items()}
    answer = client.post(reverse("admin:evaluation_testprompt_change", args=(prompt.pk,)), sent)
    assert answer.status_code == 302, answer.context["errors"]
    page = history(client, prompt)
    assert "<dt>purpose</dt><dd><del>old words</del> → <ins>new words</ins></dd>" in page
    assert "<td>olga</td>" in page


def test_an_import_is_in_the_history_of_each_row_it_changed(client):

    row = EpochResult.objects.create(training_run=make_run(), epoch_number=1, notes="before")
    exported = EpochResultResource().export(EpochResult.objects.all())
    rows = json.loads(exported.export("json"))
    rows[0]["notes"] = "after"
    result = EpochResultResource().import_data(Dataset().load(json.dumps(rows), format="json"), raise_errors=True)
    assert result.totals["update"] == 1
    client.force_login(make_user("viewer"))
    page = history(client, row)
    assert "<del>before</del> → <ins>after</ins>" in page
    assert "a machine or a command" in page


def test_an_epochs_history_tells_scores_and_words_on_pictures(client):
    reviewer = make_user("reviewer", username="anna")
    row = EpochResult.objects.create(training_run=make_run(), epoch_number=1)
    scoring.score(row, 8, 7, 9, by=reviewer)
    scoring.withdraw(row, by=reviewer)
    picture = PromptTestResult.objects.create(epoch_result=row, test_prompt=TestPrompt.objects.all()[0])
    picture_reviews.review(picture, Word(False, 4, {"eyes": [[1, 1]]}), by=reviewer)
    client.force_login(make_user("viewer"))
    page = history(client, row)
    assert "scored 8, 7, 9, best" in page
    assert "Scores taken back." in page
    assert f"failed {picture.test_prompt}, 4 of 10, marked: 1 cell eyes" in page
    assert page.index("Scores taken back.") < page.index("scored 8, 7, 9"), "the newest first"


def test_the_history_takes_the_same_queries_for_one_change_and_for_thirty(client, django_assert_max_num_queries):
    client.force_login(make_user("viewer"))
    run = make_run()
    address = reverse("admin:runs_trainingrun_history", args=(run.pk,))
    client.get(address)
    with django_assert_max_num_queries(20) as few:
        client.get(address)
    for number in range(30):
        run.notes = f"note {number}"
        run.save(update_fields=["notes"])
    with django_assert_max_num_queries(len(few)):
        page = client.get(address).content.decode()
    assert page.count("<dt>notes</dt>") == 30


def test_a_history_is_for_those_who_may_see_the_row(client):
    run = make_run()
    address = reverse("admin:runs_trainingrun_history", args=(run.pk,))
    assert client.get(address).status_code == 302
    outsider = make_user("viewer")
    outsider.groups.clear()
    client.force_login(outsider)
    assert client.get(address).status_code == 403
    client.force_login(make_user("viewer"))
    assert "created" in client.get(address).content.decode()
    assert client.get(reverse("admin:runs_trainingrun_history", args=(10**6,))).status_code == 404
    assert TrainingRun.objects.count() == 1


def test_acts_are_told_of_their_own_row_alone_and_forms_by_their_values(client, monkeypatch):
    operator = make_user("operator", username="olga")
    client.force_login(operator)
    run, other = make_run(), make_run()
    for row, said in (
        (run, "Close: mine."),
        (other, "Close: not mine."),
        (run, '[{"changed": {"fields": ["notes"]}}]'),
    ):
        LogEntry.objects.log_actions(operator.pk, [row], CHANGE, said, single_object=True)
    page = history(client, run)
    assert "Close: mine." in page
    assert "not mine" not in page
    assert "&quot;changed&quot;" not in page, "Django's note on a form says less than the values"
    assert page.count("<dt>") == 0, "what was created is told by its row"
    monkeypatch.setattr("punklab.history.MOST_EVENTS", 1)
    for note in ("one", "two"):
        run.notes = note
        run.save(update_fields=["notes"])
    found = client.get(reverse("admin:runs_trainingrun_history", args=(run.pk,)))
    assert (len(found.context["events"]), found.context["n_left_out"]) == (1, 2)
