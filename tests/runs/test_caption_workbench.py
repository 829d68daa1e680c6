from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from runs import caption_edits, caption_findings, caption_states
from runs.caption_edits import StaleEditError, save
from runs.caption_models import CaptionBatch, CaptionEdit, CaptionOrigin
from runs.caption_revision import last_edit, make_version
from runs.caption_states import state_of, states
from runs.models import Caption, CaptionVersion
from tests.factories import CAPTION, make_caption_version, make_user

pytestmark = pytest.mark.django_db

FIRST, SECOND = "lady_001", "lady_002"
BETTER = CAPTION.replace("brown hair", "dark brown hair")


@pytest.fixture
def version() -> CaptionVersion:
    return make_caption_version("first")


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user("operator", username="kim"))
    return client


def _page(version: CaptionVersion, stem: str = FIRST) -> str:
    return reverse("runs:caption", args=(version.pk, stem))


def _do(client: Client, version: CaptionVersion, act: str, stem: str = FIRST, **given: Any) -> Any:
    state = state_of(version, stem)
    sent = {"act": act, "number": state.number, "text": state.text, "corrections": state.corrections} | given
    return client.post(_page(version, stem), sent)


def _state(version: CaptionVersion, stem: str = FIRST) -> caption_states.State:
    found = state_of(version, stem)
    assert found is not None
    return found


def _asked() -> list[tuple[Any, Any]]:
    """The tasks that the queue holds: what to call, with what."""
    tasks = [SignedPackage.loads(row.payload) for row in OrmQ.objects.order_by("pk")]
    return [(task["func"], task["args"]) for task in tasks]


def test_every_page_opens_for_a_viewer_who_can_change_nothing(client, version) -> None:
    client.force_login(make_user("viewer"))
    for address in (
        reverse("runs:captions", args=(version.pk,)),
        _page(version),
        f"{reverse('runs:captions_diff')}?a={version.pk}&b={version.pk}",
    ):
        page = client.get(address)
        assert page.status_code == 200, address
        assert "Approve" not in page.content.decode()
    assert _do(client, version, "approve").status_code == 403
    for name in ("check", "replace", "fixes", "undo", "version", "reviews"):
        assert client.post(reverse(f"runs:captions_{name}", args=(version.pk,))).status_code == 403, name
    assert not CaptionEdit.objects.exists()


def test_an_outsider_is_sent_to_the_log_in(client, version) -> None:
    client.force_login(make_user())
    assert client.get(_page(version)).status_code == 302


def test_an_edit_is_a_step_of_its_own_and_the_version_stays(operator, version) -> None:
    assert _do(operator, version, "save", text=BETTER, corrections="darker").status_code == 302
    state = _state(version)
    assert (state.text, state.status, state.corrections, state.by, state.number) == (
        BETTER,
        "edited",
        "darker",
        "kim",
        1,
    )
    assert set(Caption.objects.values_list("text", flat=True)) == {CAPTION}
    _do(operator, version, "approve")
    assert (_state(version).text, _state(version).status) == (BETTER, "approved")


def test_approving_and_skipping_go_on_to_the_next_that_is_not_done(operator, version) -> None:
    _do(operator, version, "skip", SECOND)
    assert _do(operator, version, "approve").url == _page(version, "lady_003")
    assert _state(version, SECOND).status == "skipped"
    assert _do(operator, version, "approve", "lady_004").url == reverse("runs:captions", args=(version.pk,))


def test_undo_goes_back_step_by_step_and_loses_no_step(operator, version) -> None:
    _do(operator, version, "save", text="one lips")
    _do(operator, version, "save", text="two lips")
    _do(operator, version, "undo")
    assert _state(version).text == "one lips"
    _do(operator, version, "undo")
    assert (_state(version).text, _state(version).status) == (CAPTION, "pending")
    refused = _do(operator, version, "undo")
    assert "nothing to undo" in refused.content.decode()
    assert CaptionEdit.objects.count() == 4
    _do(operator, version, "save", text="three lips")
    _do(operator, version, "undo")
    assert _state(version).text == CAPTION


def test_an_edit_that_somebody_else_overtook_is_told_and_kept_in_the_editor(operator, version) -> None:
    save(version, FIRST, "theirs, lips", number=0, by=make_user("operator", username="alex"))
    page = operator.post(_page(version), {"act": "save", "number": 0, "text": "mine, lips"})
    words = page.content.decode()
    assert page.status_code == 409
    assert "alex changed lady_001 meanwhile" in words
    assert "mine, lips</textarea>" in words
    assert '<input type="hidden" name="number" value="1">' in words
    assert _state(version).text == "theirs, lips"
    operator.post(_page(version), {"act": "save", "number": 1, "text": "mine, lips"})
    assert _state(version).text == "mine, lips"


def test_the_database_itself_refuses_two_steps_of_one_number(version, monkeypatch) -> None:
    by = make_user("operator")
    old = _state(version)
    save(version, FIRST, "theirs, lips", number=0, by=by)
    monkeypatch.setattr(caption_edits, "_require", lambda *_: old)
    with pytest.raises(StaleEditError, match="at the same moment"):
        save(version, FIRST, "mine, lips", number=0, by=by)


def test_the_same_step_sent_twice_is_one(operator, version) -> None:
    for _ in range(2):
        assert operator.post(_page(version), {"act": "save", "number": 0, "text": BETTER}).status_code == 302
    assert CaptionEdit.objects.count() == 1


def test_a_draft_is_kept_and_answers_with_its_number(operator, version) -> None:
    answer = _do(operator, version, "autosave", text=BETTER)
    assert answer.json() == {"number": 1, "status": "edited", "by": "kim"}
    stale = operator.post(_page(version), {"act": "autosave", "number": 0, "text": "another"})
    assert (stale.status_code, stale.json()["stale"]) == (409, True)
    back = _do(operator, version, "autosave", text=CAPTION)
    assert back.json()["status"] == "pending"


def test_a_browsers_line_ends_are_no_change(operator, version) -> None:
    Caption.objects.filter(stem=FIRST).update(text="a lady, lips\r\n")
    _do(operator, version, "save", text="a lady, lips\r\n")
    _do(operator, version, "approve", text="a lady, lips\n")
    assert (_state(version).text, _state(version).is_changed) == ("a lady, lips\r\n", False)


@pytest.mark.parametrize(
    ("text", "words"), [(" \n", "may not be empty"), ("a\0b", "zero byte"), ("x" * 70_000, "at most 65,536")]
)
def test_a_text_that_cannot_be_kept_is_refused_with_the_mend(operator, version, text, words) -> None:
    page = _do(operator, version, "save", text=text)
    assert page.status_code == 409
    assert words in page.content.decode()
    assert not CaptionEdit.objects.exists()


@pytest.mark.parametrize(
    "given", [{"act": "nonsense"}, {"act": "save", "number": "x"}, {"act": "save", "number": "9" * 30}, {}]
)
def test_nonsense_changes_nothing(operator, version, given) -> None:
    assert operator.post(_page(version), {"text": "other", **given}).status_code == 409
    assert not CaptionEdit.objects.exists()


def test_what_is_not_there_is_not_found(operator, version) -> None:
    for address in (_page(version, "lady_9"), f"/console/captions/{version.pk}/one/a%00b/", _page(version, "a/b")):
        assert operator.get(address).status_code == 404, address
    check = reverse("runs:captions_check", args=(version.pk,))
    assert operator.post(check, {"stem": "a\0", "text": "x"}).status_code == 404
    assert operator.get("/console/captions/999999/").status_code == 404


def test_a_text_is_checked_while_it_is_typed_and_nothing_is_written(operator, version) -> None:
    text = CAPTION.replace("red lips (#aa3344)", "broken,, #12345 lps ") + ", word" * 240
    page = operator.post(reverse("runs:captions_check", args=(version.pk,)), {"stem": FIRST, "text": text})
    words = page.content.decode()
    assert "<html" not in words
    for code in ("no_lips", "doubled_comma", "unfinished_phrase", "over_225_tokens"):
        assert code in words
    assert '<mark class="" title="unfinished_phrase' in words
    assert '<span class="badge badge-bad">cut</span>' in words
    assert "<del>" in words
    assert not CaptionEdit.objects.exists()


def test_the_page_shows_regions_findings_versions_and_escapes_what_it_shows(operator, version) -> None:
    other = make_caption_version("second", caption=BETTER + " <b>")
    page = operator.get(_page(version)).content.decode()
    assert "second" in page
    assert re.search(r"<ins>\s*dark\s*</ins>", page)
    assert "<b>" not in page
    assert "data:image/png;base64," in page
    assert 'data-hex="#' in page
    assert "background</span>" in page
    assert operator.get(_page(other)).status_code == 200


def test_a_damaged_picture_hinders_nobody_from_mending_words(operator, version) -> None:
    operator.get(_page(version))
    image = version.captions.get(stem=FIRST).image
    type(image).objects.filter(pk=image.pk).update(png=b"png")
    assert "is no PNG" in operator.get(_page(version)).content.decode()
    assert _do(operator, version, "save", text=BETTER).status_code == 302


def test_the_list_filters_by_status_finding_and_words(operator, version) -> None:
    caption_findings.find(version.pk)
    _do(operator, version, "save", text=CAPTION.replace("red lips (#aa3344), ", ""))
    address = reverse("runs:captions", args=(version.pk,))

    def shown(query: str) -> list[str]:
        return [state.stem for state, _ in operator.get(address + query).context["page"].object_list]

    assert shown("?status=edited") == shown("?finding=no_lips") == shown("?changed=1") == [FIRST]
    assert shown("?q=LADY_003") == ["lady_003"]
    assert shown("?status=nonsense") == []
    assert len(shown("")) == 4


def test_a_version_without_captions_says_how_to_bring_them_in(operator) -> None:
    empty = CaptionVersion.objects.create(version_name="empty")
    assert "import_captions" in operator.get(reverse("runs:captions", args=(empty.pk,))).content.decode()


def test_the_list_answers_at_once_and_shows_the_findings_when_the_queue_has_found_them(
    operator, version, monkeypatch
) -> None:
    Caption.objects.filter(stem=FIRST).update(text="nothing")
    address = reverse("runs:captions", args=(version.pk,))

    def codes() -> set[str]:
        page = operator.get(address)
        return {each.code for state, found in page.context["page"].object_list for each in found if state.stem == FIRST}

    with monkeypatch.context() as patch:
        patch.setattr("runs.captions.read_picture", lambda _: pytest.fail("a picture was decoded in a request"))
        for _ in range(2):
            assert "are being checked" in operator.get(address).content.decode()
            assert codes() == set()
        unfiltered = operator.get(address, {"finding": "no_lips"}).context["page"]
        assert len(unfiltered.object_list) == 4
        assert "no_lips" in operator.get(_page(version)).content.decode()  # one caption is checked while one waits
    assert _asked() == [(caption_findings.find, (version.pk,))]  # once, however many look
    assert caption_findings.find(version.pk) == "first: 10 findings."
    assert "no_lips" in codes()
    assert "are being checked" not in operator.get(address).content.decode()
    assert caption_findings.find(version.pk) == "The findings of first are known already."
    Caption.objects.filter(stem=FIRST).update(text="nothing else")
    assert "are being checked" in operator.get(address).content.decode()


def test_a_new_version_is_checked_by_the_queue(operator, version) -> None:
    _do(operator, version, "save", text=BETTER)
    OrmQ.objects.all().delete()
    made = make_version(version, "second", seen=last_edit(version), by=make_user("operator"))
    assert _asked() == [(caption_findings.find, (made.pk,))]


def test_a_damaged_picture_is_found_and_the_other_captions_are_checked(operator, version) -> None:
    image = version.captions.get(stem=FIRST).image
    type(image).objects.filter(pk=image.pk).update(png=b"png")
    caption_findings.find(version.pk)
    known = caption_findings.known_findings(version)
    (damaged,) = known.of_picture(FIRST)
    assert (damaged.code, damaged.blocking) == ("unreadable", True)
    assert "is no PNG" in damaged.detail
    assert {each.code for each in known.of(SECOND)} >= {"few_hex_codes"}


def test_pages_take_as_many_queries_for_ten_captions_as_for_sixty(operator) -> None:
    def counts(n: int) -> list[int]:
        version = make_caption_version(f"of_{n}", pairs=n)
        by = make_user("operator")
        for stem in (FIRST, SECOND):
            save(version, stem, f"gray {stem}", number=0, by=by)
        addresses = [reverse("runs:captions", args=(version.pk,)), _page(version)]
        addresses += [reverse(f"runs:captions_{name}", args=(version.pk,)) for name in ("fixes", "version")]
        addresses.append(reverse("runs:captions_replace", args=(version.pk,)) + "?find=brown&replacement=red")
        operator.get(addresses[0])
        taken = []
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                assert operator.get(address).status_code == 200
            taken.append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            everything = caption_states.states(version)
            changes = [
                caption_edits.Change(stem=each.stem, number=each.number, before=each.text, after=each.text + " x")
                for each in everything
            ]
            done = caption_edits.apply(version, changes, "all", by=by)
            assert done.batch is not None
            caption_edits.undo_batch(done.batch, by=by)
        return [*taken, len(queries)]

    assert counts(10) == counts(60)


def _replace(client: Client, version: CaptionVersion, **given: Any) -> Any:
    return client.get(reverse("runs:captions_replace", args=(version.pk,)), given)


def test_a_replacement_is_shown_chosen_applied_and_undone_as_one(operator, version) -> None:
    given = {"find": "BROWN", "replacement": "black", "whole_words": "on"}
    page = _replace(operator, version, **given)
    assert [change.stem for change, _ in page.context["changes"]] == [f"lady_00{i}" for i in range(1, 5)]
    assert "<del>brown</del><ins>black</ins>" in page.content.decode()
    assert not CaptionEdit.objects.exists()
    address = reverse("runs:captions_replace", args=(version.pk,))
    chosen = [f"0:{FIRST}", f"0:{SECOND}"]
    save(version, SECOND, "brown lips", number=0, by=make_user("operator"))
    page = operator.post(address, {**given, "change": chosen}, follow=True)
    assert "1 caption changed" in page.content.decode()
    assert "changed after the preview: lady_002." in page.content.decode()
    assert _state(version).text == CAPTION.replace("brown", "black")
    assert _state(version, SECOND).text == "brown lips"
    assert _state(version, "lady_003").number == 0
    batch = CaptionBatch.objects.get()
    undo = reverse("runs:captions_undo", args=(version.pk,))
    for words in ("1 caption taken back", "undone already"):
        assert words in operator.post(undo, {"batch": batch.pk}, follow=True).content.decode()
    assert (_state(version).text, _state(version).status) == (CAPTION, "pending")
    assert operator.post(undo, {"batch": "x"}).status_code == 404


def test_undoing_a_batch_leaves_what_was_changed_after_it(operator, version) -> None:
    found = states(version)[:2]
    changes = [caption_edits.Change(stem=one.stem, number=0, before=one.text, after="black lips") for one in found]
    by = make_user("operator")
    batch = caption_edits.apply(version, changes, "black", by=by).batch
    save(version, FIRST, "blue lips", number=1, by=by)
    page = operator.post(reverse("runs:captions_undo", args=(version.pk,)), {"batch": batch.pk}, follow=True)
    assert "changed after the batch: lady_001." in page.content.decode()
    assert (_state(version).text, _state(version, SECOND).text) == ("blue lips", CAPTION)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"find": "(", "is_regex": "on"}, "is no regular expression that can be read"),
        ({"find": "brown", "replacement": "\\9", "is_regex": "on"}, "The replacement cannot be used"),
        ({"find": "(a|aa)+!", "is_regex": "on"}, "took longer than"),
        ({"find": ".*", "is_regex": "on"}, "may not be empty"),
        ({"find": ""}, "This field is required"),
        ({"find": "a\0"}, "Null characters are not allowed"),
    ],
)
def test_a_search_that_cannot_be_carried_out_is_refused_by_name(operator, version, given, words) -> None:
    Caption.objects.filter(stem=FIRST).update(text="a" * 60)
    page = _replace(operator, version, **given)
    assert page.status_code == 400
    assert words in page.content.decode().replace("&#x27;", "'")


def test_a_plain_search_takes_signs_literally_and_a_regex_its_groups(operator, version) -> None:
    page = _replace(operator, version, find="(#5a3a22)", replacement="\\1")
    assert page.context["changes"][0][0].after == CAPTION.replace("(#5a3a22)", "\\1")
    page = _replace(operator, version, find=r"(\w+) hair", replacement=r"\1 curls", is_regex="on", match_case="on")
    assert page.context["changes"][0][0].after == CAPTION.replace("brown hair", "brown curls")
    page = _replace(operator, version, find="row", replacement="x", whole_words="on")
    assert page.context["changes"] == []


def test_safe_fixes_mend_form_and_touch_no_meaning(operator, version) -> None:
    broken = "pixel art, 24x24,  brown\u00a0hair (#5A3A22) ,, red lips, neutral expression,, "
    Caption.objects.filter(stem=FIRST).update(text=broken)
    address = reverse("runs:captions_fixes", args=(version.pk,))
    (change, _), *others = operator.get(address).context["changes"]
    mended = "pixel art, 24x24, portrait of bespoke punk lady, brown hair (#5a3a22), red lips, neutral expression"
    assert (change.after, others) == (mended, [])
    operator.post(address, {"change": [f"0:{FIRST}"]})
    assert _state(version).text == mended
    assert operator.get(address).context["changes"] == []


def _make(client: Client, version: CaptionVersion, **given: Any) -> Any:
    address = reverse("runs:captions_version", args=(version.pk,))
    seen = client.get(address).context["seen"]
    return client.post(address, {"seen": seen, "name": "second", **given}, follow=True)


def test_a_new_version_is_made_of_edits_and_the_unchanged_rest(operator, version) -> None:
    _do(operator, version, "save", text=BETTER)
    _do(operator, version, "save", SECOND, text="left out, lips")
    _do(operator, version, "skip", SECOND)
    _make(operator, version, notes="darker hair")
    made = CaptionVersion.objects.get(version_name="second")
    texts = dict(made.captions.values_list("stem", "text"))
    assert (texts[FIRST], texts[SECOND], len(texts)) == (BETTER, CAPTION, 4)
    assert (made.notes, made.num_caption_files, made.created_date is not None) == ("darker hair", 4, True)
    origin = CaptionOrigin.objects.get()
    assert (origin.version, origin.source, origin.n_changed, origin.by.get_username()) == (made, version, 1, "kim")
    assert set(version.captions.values_list("text", flat=True)) == {CAPTION}
    diff = operator.get(f"{reverse('runs:captions_diff')}?a={version.pk}&b={made.pk}")
    assert (diff.context["n_differing"], diff.context["n_same"]) == (1, 3)
    assert re.search(r"<ins>\s*dark\s*</ins>", diff.content.decode())


def test_a_new_version_is_refused_by_taken_name_nothing_changed_or_newer_edits(operator, version) -> None:
    assert "nothing to make a version of" in _make(operator, version).content.decode()
    _do(operator, version, "save", text=BETTER)
    assert "is called &#x27;first&#x27; already" in _make(operator, version, name=" first ").content.decode()
    assert _make(operator, version, name="a\0").status_code == 409
    save(version, SECOND, "newer, lips", number=0, by=make_user("operator", username="alex"))
    stale = _make(operator, version, seen=CaptionEdit.objects.earliest("pk").pk)
    assert "by alex: lady_002" in stale.content.decode()
    assert _make(operator, version, seen="x").status_code == 409
    assert list(CaptionVersion.objects.all()) == [version]
    assert version.captions.count() == Caption.objects.count()
