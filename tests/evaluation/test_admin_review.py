from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from runs.models import AdoptedPicture, CaptionVersion, Checkpoint, TrainingRun
from tests.factories import make_png, make_run, make_user

pytestmark = pytest.mark.django_db


def _epoch(run: TrainingRun, epoch: int, *, drawn: bool = True) -> EpochResult:
    """An epoch with one test picture that waits for scores."""
    checkpoint = Checkpoint.objects.create(
        run=run,
        epoch=epoch,
        file=f"{epoch}.safetensors",
        sha256=str(epoch) * 64,
        base_model="miniature",
        source="trained",
    )
    render = TestRender.objects.create(
        checkpoint=checkpoint,
        test_prompt=TestPrompt.objects.order_by("pk")[0],
        request={"prompt": "a lady with pink hair"},
        digest=str(epoch),
    )
    if drawn:
        path = Path(settings.STORAGE_DIR) / f"renders/{render.pk}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(render.pk))
        TestRender.objects.filter(pk=render.pk).update(status=Status.RENDERED, finished=f"renders/{render.pk}.png")
    return EpochResult.objects.create(training_run=run, epoch_number=epoch, num_test_images=1)


def _picture(kind: str, pk: int, index: int = 0) -> str:
    return reverse("evaluation:picture", args=(kind, pk, index))


@pytest.fixture
def run(db: None) -> TrainingRun:
    return make_run(run_name="looked_at")


def test_the_runs_page_shows_each_epoch_with_its_picture_and_a_label_on_suggested_scores(client, run) -> None:
    first, second = _epoch(run, 1), _epoch(run, 2, drawn=False)
    ScoreEntry.objects.create(
        epoch_result=first, source="machine", reasons=["background: 1 of 1"], **dict.fromkeys(EpochResult.SCORES, 6.5)
    )
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:runs_trainingrun_change", args=(run.pk,))).content.decode()
    assert f'src="{_picture("render", TestRender.objects.get(digest="1").pk)}"' in page
    assert "<strong>suggested</strong> by the measures" in page
    assert "Queued" in page
    assert "No epoch has been scored yet." in page
    assert "Save scores" not in page
    assert f'id="epoch-{first.epoch_number}"' in page
    assert f'id="epoch-{second.epoch_number}"' in page


def test_a_run_page_takes_the_same_queries_for_two_epochs_and_for_eight(
    client, run, django_assert_max_num_queries
) -> None:
    client.force_login(make_user("publisher"))
    address = reverse("admin:runs_trainingrun_change", args=(run.pk,))
    for epoch in (1, 2):
        _epoch(run, epoch)
    client.get(address)
    with django_assert_max_num_queries(200) as two:
        client.get(address)
    for epoch in range(3, 9):
        _epoch(run, epoch)
    with django_assert_max_num_queries(len(two)) as eight:
        client.get(address)
    assert len(eight) == len(two) < 45


def test_review_leads_from_epoch_to_epoch_and_scores_through_the_act(client, run) -> None:
    first, second, third = (_epoch(run, epoch) for epoch in (1, 2, 3))
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    assert client.get(reverse("evaluation:review")).url == reverse("evaluation:review_epoch", args=(first.pk,))
    sent = {"visual": 9, "style": 8, "prompt": 7, "observations": "Clean."}
    answer = client.post(reverse("evaluation:review_epoch", args=(first.pk,)), sent)
    assert answer.url == f"{reverse('evaluation:review_epoch', args=(second.pk,))}?saved={first.pk}"
    first.refresh_from_db()
    assert (first.visual_quality_score, first.style_match_score, first.prompt_adherence_score) == (9, 8, 7)
    assert (first.verdict, first.observations) == ("best", "Clean.")
    assert ScoreEntry.objects.get(epoch_result=first).by == reviewer
    skipped = client.get(reverse("evaluation:review"), {"after": second.pk})
    assert skipped.url == reverse("evaluation:review_epoch", args=(third.pk,))
    last = client.get(reverse("evaluation:review"), {"after": third.pk}, follow=True)
    assert "That was the last one. 2 still wait." in last.content.decode()


def test_scores_given_on_the_runs_page_lead_back_to_it(client, run) -> None:
    epoch = _epoch(run, 4)
    client.force_login(make_user("reviewer"))
    sent = {"visual": 5, "style": 5, "prompt": 6, "back": "run"}
    answer = client.post(reverse("evaluation:review_epoch", args=(epoch.pk,)), sent)
    assert answer.url == f"{reverse('admin:runs_trainingrun_change', args=(run.pk,))}#epoch-4"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"visual": 9, "style": "", "prompt": ""}, ["Style match is missing", "Prompt adherence is missing"]),
        (
            {"visual": 11, "style": -1, "prompt": 5},
            ["Visual quality goes from 0 to 10", "Style match goes from 0 to 10"],
        ),
        ({"visual": "7.5", "style": 5, "prompt": "x"}, ["Visual quality must be a whole number"]),
    ],
)
def test_half_given_and_impossible_scores_are_refused_and_nothing_is_written(client, run, sent, words) -> None:
    epoch = _epoch(run, 1)
    client.force_login(make_user("reviewer"))
    page = client.post(reverse("evaluation:review_epoch", args=(epoch.pk,)), sent).content.decode()
    for sentence in words:
        assert sentence in page
    epoch.refresh_from_db()
    assert epoch.visual_quality_score is None
    assert not ScoreEntry.objects.exists()


def test_a_viewer_may_look_but_not_score(client, run) -> None:
    epoch = _epoch(run, 1)
    client.force_login(make_user("viewer"))
    address = reverse("evaluation:review_epoch", args=(epoch.pk,))
    assert "Scoring needs the role reviewer" in client.get(address).content.decode()
    assert client.post(address, {"visual": 9, "style": 9, "prompt": 9}).status_code == 403
    epoch.refresh_from_db()
    assert epoch.verdict is None


def test_a_scripts_scores_are_shown_as_such_and_are_no_start_for_a_person(client, run) -> None:
    epoch = _epoch(run, 1)
    EpochResult.objects.filter(pk=epoch.pk).update(
        observations="Auto-scored by compare.py", verdict="best", **dict.fromkeys(EpochResult.SCORES, 9)
    )
    client.force_login(make_user("reviewer"))
    page = client.get(reverse("evaluation:review_epoch", args=(epoch.pk,)))
    assert "counts as nobody’s" in page.content.decode()
    assert page.context["form"].initial == {}


def test_pictures_are_for_staff_with_a_role_and_stay_in_their_browser(client, run) -> None:
    _epoch(run, 1)
    address = _picture("render", TestRender.objects.get().pk)
    assert client.get(address).status_code == 302
    client.force_login(make_user("viewer"))
    answer = client.get(address)
    assert answer.content == make_png(TestRender.objects.get().pk)
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer["X-Content-Type-Options"] == "nosniff"
    roleless = make_user("viewer")
    roleless.groups.clear()
    client.force_login(roleless)
    assert client.get(address).status_code == 403


def test_a_row_that_names_a_path_outside_the_storage_gives_nothing_away(client, run, tmp_path) -> None:
    epoch = _epoch(run, 1)
    secret = tmp_path / "secret.png"
    secret.write_bytes(make_png())
    inside = Path(settings.STORAGE_DIR) / "link.png"
    inside.symlink_to(secret)
    paths = [str(secret), "../secret.png", "link.png", "renders/../../secret.png", "renders", "\0.png"[1:], ""]
    EpochResult.objects.filter(pk=epoch.pk).update(test_image_paths=paths)
    client.force_login(make_user("publisher"))
    for index in range(len(paths) + 1):
        assert client.get(_picture("epoch", epoch.pk, index)).status_code == 404, paths[index]
    assert client.get(_picture("nonsense", epoch.pk)).status_code == 404
    assert client.get("/console/pictures/render/../../settings.py/0/").status_code == 404


def test_a_picture_that_is_elsewhere_shows_as_its_path_and_an_adopted_one_as_itself(client, run) -> None:
    epoch = _epoch(run, 7)
    prompt = TestPrompt.objects.order_by("pk")[1]
    far = "/Users/owner/Downloads/archived/brown_eyes_lady_512.png"
    EpochResult.objects.filter(pk=epoch.pk).update(test_image_paths=[far])
    PromptTestResult.objects.create(epoch_result=epoch, test_prompt=prompt, image_path="/Users/owner/elsewhere.png")
    (Path(settings.STORAGE_DIR) / "past.png").write_bytes(make_png(5))
    adopted = AdoptedPicture.objects.create(
        run=run,
        epoch=7,
        file="past.png",
        original_name="old (1).png",
        sha256="0" * 64,
        width=24,
        height=24,
        reason="named so",
    )
    client.force_login(make_user("viewer"))
    page = unescape(client.get(reverse("admin:runs_trainingrun_change", args=(run.pk,))).content.decode())
    assert f"not on this machine: {far}" in page
    assert "not on this machine: /Users/owner/elsewhere.png" in page
    assert f'src="{_picture("adopted", adopted.pk)}"' in page
    assert page.count('<img class="punk"') == 2
    assert client.get(_picture("adopted", adopted.pk)).status_code == 200


def test_editing_an_epoch_keeps_its_scores_and_recomputes_nothing(client, run) -> None:
    epoch = _epoch(run, 1)
    scores = dict.fromkeys(EpochResult.SCORES, 9)
    EpochResult.objects.filter(pk=epoch.pk).update(verdict="skip", quantitative_metrics={"a": 1.5}, **scores)
    before: dict[str, Any] = dict(EpochResult.objects.values().get(pk=epoch.pk))
    client.force_login(make_user("operator"))
    address = reverse("admin:evaluation_epochresult_change", args=(epoch.pk,))
    form = client.get(address).context["adminform"].form
    assert not {"verdict", "production_ready", "quantitative_metrics", *EpochResult.SCORES} & set(form.fields)
    sent = {"training_run": run.pk, "epoch_number": 1, "notes": "mine", "issues_detail": "soft edges\nblue"}
    sent |= {f"initial-{name}": sent.get(name, "") for name in ("training_run", "epoch_number")}
    flags = [name for name in form.fields if name.startswith(("has_", "is_"))]
    sent |= dict.fromkeys(flags, "false") | {f"initial-{name}": "False" for name in flags}
    assert client.post(address, sent | {"verdict": "best", "visual_quality_score": 1}).status_code == 302
    after: dict[str, Any] = dict(EpochResult.objects.values().get(pk=epoch.pk))
    assert {name for name in after if after[name] != before[name]} == {"notes", "issues_detail"}
    assert after["issues_detail"] == ["soft edges", "blue"]


def test_queue_tests_says_what_it_would_draw_and_draws_nothing_before_it_is_confirmed(client, run) -> None:
    client.force_login(make_user("operator"))
    address = reverse("admin:runs_trainingrun_act", args=(run.pk, "queue-tests"))
    assert "There is no LoRA file to draw with" in client.get(address).content.decode()
    Checkpoint.objects.create(
        run=run, epoch=1, file="1.safetensors", sha256="1" * 64, base_model="miniature", source="trained"
    )
    page = client.get(address).content.decode()
    assert "quick: 1 picture, about" in page
    assert "full: 51 pictures, about" in page
    assert not TestRender.objects.exists()
    answer = client.post(address, {"size": "quick"}, follow=True)
    assert "1 test picture is queued." in answer.content.decode()
    render = TestRender.objects.get()
    assert (render.checkpoint.run, render.status) == (run, "queued")
    assert json.dumps(render.request)


def test_pictures_that_wait_are_taken_off_the_queue_and_drawn_ones_stay(client, run) -> None:
    client.force_login(make_user("operator"))
    _epoch(run, 1)
    change, address = (
        reverse("admin:runs_trainingrun_change", args=(run.pk,)),
        reverse("admin:runs_trainingrun_act", args=(run.pk, "cancel-tests")),
    )
    assert address not in client.get(change).content.decode()
    _epoch(run, 2, drawn=False)
    assert address in client.get(change).content.decode()
    assert "1 test picture was taken off the queue." in client.post(address, follow=True).content.decode()
    assert set(TestRender.objects.values_list("status", flat=True)) == {"rendered", "cancelled"}


def test_the_comparison_puts_prompts_beside_epochs_and_says_when_there_is_nothing(client, run) -> None:
    client.force_login(make_user("viewer"))
    address = reverse("evaluation:compare", args=(run.pk,))
    assert "Nothing to compare yet" in client.get(address).content.decode()
    _epoch(run, 1)
    _epoch(run, 2, drawn=False)
    page = client.get(address).content.decode()
    assert page.count('<img class="punk"') == 1
    assert "epoch 2" in page
    assert "Queued" in page


def test_a_test_prompt_that_pictures_were_judged_by_keeps_its_words(client, run) -> None:
    _epoch(run, 1)
    used, free = TestPrompt.objects.order_by("pk")[:2]
    client.force_login(make_user("operator"))
    for prompt, fixed in ((used, True), (free, False)):
        page = client.get(reverse("admin:evaluation_testprompt_change", args=(prompt.pk,)))
        assert ("prompt_text" not in page.context["adminform"].form.fields) is fixed


def test_a_second_row_for_an_epoch_and_a_score_of_11_are_refused_on_the_form(client, run) -> None:
    epoch = _epoch(run, 1)
    client.force_login(make_user("operator"))
    twice = client.post(reverse("admin:evaluation_epochresult_add"), {"training_run": run.pk, "epoch_number": 1})
    assert "looked_at has a row for epoch 1 already." in twice.content.decode()
    address = reverse("admin:evaluation_prompttestresult_add")
    given = {"epoch_result": epoch.pk, "test_prompt": TestPrompt.objects.order_by("pk")[0].pk}
    assert "11 is no score" in client.post(address, given | {"score": 11}).content.decode()
    assert client.post(address, given | {"score": 7, "observations": "fine"}).status_code == 302
    assert PromptTestResult.objects.get().score == 7


@pytest.mark.parametrize(
    "name",
    [
        "runs_captionversion",
        "runs_trainingrun",
        "evaluation_testprompt",
        "evaluation_epochresult",
        "evaluation_suiteprompt",
    ],
)
def test_every_table_that_people_fill_has_a_page_to_add_a_row(client, name) -> None:
    client.force_login(make_user("operator"))
    assert client.get(reverse(f"admin:{name}_add")).status_code == 200


def test_a_row_that_is_typed_in_gets_the_columns_defaults(client) -> None:
    client.force_login(make_user("operator"))
    address = reverse("admin:runs_captionversion_add")
    answer = client.post(address, {"version_name": "by_hand", "detail_level": "very_detailed", "created_date": ""})
    assert answer.status_code == 302
    row = CaptionVersion.objects.get(version_name="by_hand")
    assert row.created_at is not None
    assert (row.detail_level, row.notes) == ("very_detailed", None)


def test_a_page_that_ones_roles_do_not_include_says_so(client, run) -> None:
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:runs_trainingrun_act", args=(run.pk, "start")))
    assert page.status_code == 403
    assert "This needs the role operator." in page.content.decode()
