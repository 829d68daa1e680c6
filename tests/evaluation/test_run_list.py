"""The list of runs: sorted by everything, what to do by the lab's thresholds, searches kept under a name."""

from __future__ import annotations

from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from evaluation.models import EpochResult
from runs.models import SavedFilter
from tests.factories import make_job, make_run, make_user

pytestmark = pytest.mark.django_db

LIST = "admin:runs_trainingrun_changelist"
SAVE = "admin:runs_trainingrun_save_filter"


def scored(run, epoch, scores, **values):
    EpochResult.objects.create(
        training_run=run, epoch_number=epoch, **(dict(zip(EpochResult.SCORES, scores, strict=True)) | values)
    )


def listed(page):
    return [run.run_name for run in page.context["cl"].result_list]


@pytest.fixture
def runs():
    """Runs around the lab's thresholds, by the average of the epoch that people scored best."""
    found = {}
    for name, scores in {
        "nine": (9, 9, 9),
        "below nine": (9, 9, 8),
        "seven": (7, 7, 7),
        "below seven": (7, 7, 6),
        "five": (5, 5, 5),
        "below five": (5, 5, 4),
    }.items():
        found[name] = make_run(run_name=name)
        scored(found[name], 1, (0, 1, 0))
        scored(found[name], 2, scores)
        scored(found[name], 3, (10, 10, 10), observations="Auto-scored by a script")
    found["unscored"] = make_run(run_name="unscored")
    scored(found["unscored"], 1, (10, None, 10))
    return found


def ask(client, role="viewer", **given):
    user = make_user(role)
    client.force_login(user)
    page = client.get(reverse(LIST), given)
    assert page.status_code == 200, page
    return user, page


def test_what_to_do_follows_the_best_average_that_people_gave(client, runs):
    _, page = ask(client)
    admin = page.context["cl"].model_admin
    told = {run.run_name: (admin.best_average(run), admin.what_to_do(run)) for run in page.context["cl"].result_list}
    assert told == {
        "nine": ("9.0", "deploy"),
        "below nine": ("8.7", "consider deploying"),
        "seven": ("7.0", "consider deploying"),
        "below seven": ("6.7", "train on or adjust"),
        "five": ("5.0", "train on or adjust"),
        "below five": ("4.7", "stop and analyse"),
        "unscored": ("–", ""),
    }
    assert {run.n_scored for run in page.context["cl"].result_list} == {2, 0}


@pytest.mark.parametrize(
    ("action", "names"),
    [
        ("deploy", {"nine"}),
        ("consider-deploying", {"below nine", "seven"}),
        ("train-on-or-adjust", {"below seven", "five"}),
        ("stop-and-analyse", {"below five"}),
        ("nonsense", None),
    ],
)
def test_the_list_is_filtered_by_what_to_do(client, runs, action, names):
    _, page = ask(client, action=action)
    assert set(listed(page)) == (set(runs) if names is None else names)


def test_the_list_is_sorted_by_each_of_its_columns(client, runs):
    now = timezone.now()
    make_job(run=runs["five"], status="finished", started_at=now - timedelta(hours=9), ended_at=now)
    _, page = ask(client)
    columns = page.context["cl"].list_display
    admin = page.context["cl"].model_admin
    for place, column in enumerate(columns):
        if column == "action_checkbox":
            continue
        assert page.context["cl"].get_ordering_field(column) is not None, column
        assert client.get(reverse(LIST), {"o": str(place)}).status_code == 200
        assert client.get(reverse(LIST), {"o": f"-{place}"}).status_code == 200
    best = listed(client.get(reverse(LIST), {"o": f"-{columns.index('best_average')}"}))
    assert best == ["nine", "below nine", "seven", "below seven", "five", "below five", "unscored"]
    longest = client.get(reverse(LIST), {"o": f"-{columns.index('hours')}"}).context["cl"].result_list[0]
    assert (longest.run_name, admin.hours(longest)) == ("five", "9.00")


def test_a_search_is_kept_under_a_name_and_led_to_from_above_the_list(client, runs):
    user, _ = ask(client)
    answer = client.post(reverse(SAVE), {"name": " good ones ", "query": "action=deploy&o=-4&p=2"}, follow=True)
    assert answer.redirect_chain == [(f"{reverse(LIST)}?action=deploy&o=-4", 302)]
    row = SavedFilter.objects.get()
    assert (row.name, row.query, row.by, row.is_shared) == ("good ones", "action=deploy&o=-4", user, False)
    page = unescape(answer.content.decode())
    assert '<a href="?action=deploy&o=-4" aria-current="true">good ones</a>' in page
    assert listed(answer) == ["nine"]


@pytest.mark.parametrize(
    "query",
    ["nonsense=1", "status__nonsense=1", "jobs__by__password__startswith=a", "status__exact=x&next=//elsewhere"],
)
def test_what_is_no_search_of_the_list_is_not_kept(client, query):
    ask(client)
    answer = client.post(reverse(SAVE), {"name": "a", "query": query}, follow=True)
    assert "is no search of this list" in answer.content.decode()
    assert not SavedFilter.objects.exists()


def test_a_name_is_needed_once_and_a_filter_shared_only_when_asked(client):
    ask(client)
    assert "cannot be blank" in client.post(reverse(SAVE), {"name": " ", "query": ""}, follow=True).content.decode()
    client.post(reverse(SAVE), {"name": "mine", "query": "q=a"})
    again = client.post(reverse(SAVE), {"name": "mine", "query": "q=b"}, follow=True).content.decode()
    assert "You have a filter of that name already" in again
    client.post(reverse(SAVE), {"name": "ours", "query": "q=c", "shared": "on"})
    _, page = ask(client)
    assert [str(row) for row in page.context["saved_filters"]] == ["ours"]
    shown = client.get(reverse("admin:runs_savedfilter_changelist")).context["cl"].result_list
    assert [str(row) for row in shown] == ["ours"]


def test_only_who_made_a_filter_deletes_it(client):
    owner, _ = ask(client)
    client.post(reverse(SAVE), {"name": "ours", "query": "q=c", "shared": "on"})
    client.post(reverse(SAVE), {"name": "mine", "query": "q=c"})
    ours, mine = SavedFilter.objects.get(name="ours"), SavedFilter.objects.get(name="mine")
    delete = "admin:runs_trainingrun_delete_filter"
    ask(client, "publisher")
    assert client.post(reverse(delete, args=(ours.pk,))).status_code == 403
    assert client.post(reverse(delete, args=(mine.pk,))).status_code == 404
    client.force_login(owner)
    assert client.get(reverse(delete, args=(ours.pk,))).status_code == 405
    assert client.post(reverse(delete, args=(ours.pk,))).status_code == 302
    assert list(SavedFilter.objects.all()) == [mine]


def test_who_may_not_see_runs_keeps_no_filter(client):
    client.force_login(make_user("", username="staff", is_active=True))
    assert client.post(reverse(SAVE), {"name": "a", "query": ""}).status_code == 302
    assert not SavedFilter.objects.exists()
