"""The lab's table `caption_reviews`, as its five documented columns make it, and with columns missing or more."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from punklab import roles
from runs import lab_reviews
from runs.caption_edits import save, undo_batch
from runs.caption_models import CaptionBatch, CaptionEdit
from runs.caption_states import state_of
from runs.models import CaptionVersion
from tests.factories import CAPTION, make_caption_version, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]

FIRST, SECOND, THIRD = "lady_001", "lady_002", "lady_003"
COLUMNS = "filename, current_caption, ai_comprehensive_caption, user_corrections, final_caption, status"


@pytest.fixture
def version() -> CaptionVersion:
    return make_caption_version("first")


@pytest.fixture
def table(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE caption_reviews (id serial PRIMARY KEY, filename text, current_caption text, "
            "ai_comprehensive_caption text, user_corrections text, final_caption text, "
            "status text DEFAULT 'pending' CHECK (status <> 'forbidden'), reviewer text DEFAULT 'theirs')"
        )


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user("operator", username="kim"))
    return client


def _put(*row: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO caption_reviews ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)", row)


def _set(filename: str, **values: str | None) -> None:
    with connection.cursor() as cursor:
        for name, value in values.items():
            cursor.execute(f"UPDATE caption_reviews SET {name} = %s WHERE filename = %s", [value, filename])


def _row(filename: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS}, reviewer FROM caption_reviews WHERE filename = %s", [filename])
        return tuple(cursor.fetchone())


def _do(client: Client, version: CaptionVersion, act: str) -> str:
    address = reverse("runs:captions_reviews", args=(version.pk,))
    return client.post(address, {"act": act}, follow=True).content.decode()


def _stands(version: CaptionVersion, stem: str) -> tuple[str, str, str]:
    state = state_of(version, stem)
    return state.text, state.corrections, state.status


def test_without_the_table_nothing_is_offered_and_nothing_created(operator, version) -> None:
    assert "caption_reviews" not in operator.get(reverse("runs:captions", args=(version.pk,))).content.decode()
    assert operator.get(reverse("runs:caption", args=(version.pk, FIRST))).status_code == 200
    for act in ("import", "write"):
        assert "has no table caption_reviews" in _do(operator, version, act)
    assert not lab_reviews.is_there()


def test_rows_are_matched_by_file_name_and_the_rest_is_listed(operator, table, version) -> None:
    _put(f"{FIRST}.png", CAPTION, "ai", "more hair", "final, lips", "edited")
    _put(f"{SECOND}.txt", CAPTION, None, None, None, "needs_second_look")
    _put(f"{THIRD}.png", CAPTION, None, None, None, "pending")
    _put("lady_004.png", CAPTION, None, None, "one", "approved")
    _put("lady_004.txt", CAPTION, None, None, "two", "approved")
    _put("stranger.png", CAPTION, None, None, "x", "approved")
    page = _do(operator, version, "import")
    assert "2 rows taken over, 1 the same already." in page
    assert "stranger.png" in page
    assert "lady_004.png, lady_004.txt" in page
    assert _stands(version, FIRST) == ("final, lips", "more hair", "edited")
    assert _stands(version, SECOND) == (CAPTION, "", "needs_second_look")
    assert state_of(version, THIRD).number == state_of(version, "lady_004").number == 0
    assert "needs_second_look" in page
    assert "0 rows taken over, 3 the same already." in _do(operator, version, "import")
    assert CaptionEdit.objects.count() == 2


def test_an_import_is_undone_as_one_and_can_be_done_again(table, version) -> None:
    by = make_user("operator")
    _put(f"{FIRST}.png", CAPTION, None, None, "final, lips", "approved")
    lab_reviews.bring_in(version, by=by)
    undo_batch(CaptionBatch.objects.get(), by=by)
    assert _stands(version, FIRST) == (CAPTION, "", "pending")
    assert lab_reviews.write_back(version).done == 0
    assert _row(f"{FIRST}.png")[4:6] == ("final, lips", "approved")
    assert lab_reviews.bring_in(version, by=by).done == 1


def test_writing_back_touches_only_our_columns_of_the_rows_we_worked_on(operator, table, version) -> None:
    _put(f"{FIRST}.png", CAPTION, "ai", None, None, "pending")
    _put(f"{SECOND}.png", CAPTION, "ai", None, None, None)
    _do(operator, version, "import")
    save(version, FIRST, "better, lips", "why", number=0, by=make_user("operator"))
    assert "1 row written" in _do(operator, version, "write")
    assert _row(f"{FIRST}.png") == (f"{FIRST}.png", CAPTION, "ai", "why", "better, lips", "edited", "theirs")
    assert _row(f"{SECOND}.png") == (f"{SECOND}.png", CAPTION, "ai", None, None, None, "theirs")
    assert "0 rows written, 1 the same already." in _do(operator, version, "write")


def test_a_row_changed_there_meanwhile_is_named_until_a_person_chooses(operator, table, version) -> None:
    by = make_user("operator")
    for stem in (FIRST, SECOND):
        _put(f"{stem}.png", CAPTION, None, None, "first words", "edited")
    _do(operator, version, "import")
    for stem in (FIRST, SECOND):
        save(version, stem, "ours, lips", number=1, by=by)
        _set(f"{stem}.png", final_caption="theirs, lips")
    for act in ("write", "import"):
        assert f"{FIRST}.png, {SECOND}.png" in _do(operator, version, act), act
    assert _row(f"{FIRST}.png")[4] == "theirs, lips"
    assert _stands(version, FIRST)[0] == "ours, lips"
    for stem, act in ((FIRST, "ours"), (SECOND, "theirs")):
        address = reverse("runs:caption", args=(version.pk, stem))
        shown = operator.get(address).context["lab_digest"]
        assert operator.post(address, {"act": act, "number": 2, "lab_row": "older"}).status_code == 409
        assert operator.post(address, {"act": act, "number": 2, "lab_row": shown}).status_code == 302
    assert "1 row written, 1 the same already." in _do(operator, version, "write")
    assert _row(f"{FIRST}.png")[4] == "ours, lips"
    assert _stands(version, SECOND)[0] == "theirs, lips"


def test_a_row_that_was_never_read_and_says_something_is_not_written_over(table, version) -> None:
    _put(f"{FIRST}.png", CAPTION, None, "theirs", None, "pending")
    save(version, FIRST, "ours, lips", number=0, by=make_user("operator"))
    assert lab_reviews.write_back(version).conflicting == [f"{FIRST}.png"]
    assert _row(f"{FIRST}.png")[3:5] == ("theirs", None)


def test_columns_that_are_missing_are_left_out(version) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE caption_reviews (filename varchar(80), status varchar(20))")
        cursor.execute("INSERT INTO caption_reviews VALUES (%s, NULL)", [f"{FIRST}.png"])
    by = make_user("operator")
    save(version, FIRST, "ours, lips", number=0, by=by)
    assert lab_reviews.write_back(version).done == 1
    assert lab_reviews.write_back(version).same == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM caption_reviews")
        assert cursor.fetchall() == [(f"{FIRST}.png", "edited")]
    assert lab_reviews.bring_in(version, by=by).done == 0


def test_what_the_table_refuses_is_told_and_nothing_is_written(operator, table, version) -> None:
    by = make_user("operator")
    for stem in (FIRST, SECOND):
        _put(f"{stem}.png", CAPTION, None, None, None, None)
    save(version, FIRST, "ours, lips", number=0, by=by)
    save(version, SECOND, "ours, lips", number=0, by=by, status="forbidden")
    assert "The database refused this" in _do(operator, version, "write")
    assert _row(f"{FIRST}.png")[5] is None


def test_reading_and_writing_take_as_many_queries_for_three_rows_as_for_thirty(table) -> None:
    def counts(n: int) -> list[int]:
        version = make_caption_version(pairs=n)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM caption_reviews")
        for stem in version.captions.values_list("stem", flat=True):
            _put(f"{stem}.png", CAPTION, None, None, "final, lips", "approved")
        taken = []
        by = make_user("operator")
        lab_reviews.bring_in(version, by=by)
        _set(f"{FIRST}.png", final_caption="newer, lips")
        for work in (lambda: lab_reviews.bring_in(version, by=by), lambda: lab_reviews.write_back(version)):
            with CaptureQueriesContext(connection) as queries:
                work()
            taken.append(len(queries))
        return taken

    assert counts(3) == counts(30)


def test_the_command_does_what_the_buttons_do(table, version, capsys) -> None:
    roles.sync()
    by = make_user("operator", username="kim")
    _put(f"{FIRST}.png", CAPTION, None, None, "final, lips", "approved")
    call_command("caption_reviews", "first", "import", by="kim")
    assert "1 row taken over" in capsys.readouterr().out
    save(version, FIRST, "ours, lips", number=1, by=by)
    call_command("caption_reviews", "first", "write", by="kim")
    assert _row(f"{FIRST}.png")[4] == "ours, lips"
    with pytest.raises(CommandError, match="needs the role operator"):
        call_command("caption_reviews", "first", "import", by=make_user("viewer").username)
    with pytest.raises(CommandError, match="no caption version is called 'other'"):
        call_command("caption_reviews", "other", "import", by="kim")
