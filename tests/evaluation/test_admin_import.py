from __future__ import annotations

from pathlib import Path

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from import_export.results import Result, RowResult

from evaluation.models import EpochResult, PromptTestResult, TestPrompt
from evaluation.resources import EpochResultResource, PromptTestResultResource
from punklab.mirrored_files import MirroredResource, array_literal, parse_array
from runs.models import CaptionVersion, TrainingRun
from runs.resources import CaptionVersionResource, TrainingRunResource
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def _import(resource: type[MirroredResource], text: str) -> Result:
    return resource().import_data(tablib.Dataset().load(text, format="csv"), dry_run=False)


def _messages(result: Result) -> str:
    rows = [str(row.error) for row in result.invalid_rows]
    return " ".join(rows + [str(error.error) for row in result.error_rows for error in row.errors])


def _import_lab(shared: Path) -> None:
    for name, resource in (
        ("caption_versions", CaptionVersionResource),
        ("training_runs", TrainingRunResource),
        ("epoch_results", EpochResultResource),
    ):
        result = _import(resource, (shared / "legacy" / f"{name}.csv").read_text())
        assert not result.has_errors(), _messages(result)
        assert not result.has_validation_errors(), _messages(result)
        assert result.totals[RowResult.IMPORT_TYPE_NEW] == result.total_rows


def test_the_labs_own_files_import_with_their_arrays_and_booleans(shared: Path) -> None:
    _import_lab(shared)
    run = TrainingRun.objects.get(run_name="SD15_PERFECT_Nov9")
    assert (run.pk, run.production_ready, run.issues_found, run.unet_lr) == (1, True, [], None)
    assert run.strengths is not None
    assert "accessories_visible" in run.strengths
    assert run.run_date.isoformat() == "2025-11-09T20:22:00+00:00"
    assert CaptionVersion.objects.get(pk=1).used_in_training_runs == [
        "SD15_PERFECT_Nov9",
        "SD15_bespoke_baby_Nov10",
        "SDXL_Current_Nov10",
    ]
    assert EpochResult.objects.get(training_run=run, epoch_number=7).is_photorealistic is False


def test_importing_the_same_file_again_changes_nothing_and_new_rows_get_free_ids(shared: Path) -> None:
    _import_lab(shared)
    result = _import(TrainingRunResource, (shared / "legacy" / "training_runs.csv").read_text())
    assert result.totals[RowResult.IMPORT_TYPE_SKIP] == result.total_rows
    highest = max(EpochResult.objects.values_list("pk", flat=True))
    assert EpochResult.objects.create(epoch_number=99).pk > highest


@pytest.mark.parametrize("resource", [TrainingRunResource, EpochResultResource, PromptTestResultResource])
def test_what_is_exported_reads_back_without_a_change(resource: type[MirroredResource]) -> None:
    run = TrainingRun.objects.create(
        run_name='odd, "quoted"',
        status="cancelled",
        base_model="runwayml/stable-diffusion-v1-5",
        model_type="SD15",
        learning_rate=1e-07,
        issues_found=["a, b", 'c "d"', "", "NULL", "back\\slash"],
        key_findings="two\nlines",
        notes="",
        all_parameters={"conv_dim": 8, "words": ["é"]},
    )
    epoch = EpochResult.objects.create(training_run=run, epoch_number=3, strengths_detail=[])
    prompt = TestPrompt.objects.create(prompt_name="quick", prompt_text="a punk")
    PromptTestResult.objects.create(epoch_result=epoch, test_prompt=prompt, image_path="/far/away.png", passed=True)
    before = list(resource._meta.model.objects.values())
    result = _import(resource, resource().export().csv)
    assert result.totals[RowResult.IMPORT_TYPE_SKIP] == result.total_rows == 1, _messages(result)
    assert list(resource._meta.model.objects.values()) == before


def test_a_column_that_the_file_lacks_keeps_its_value() -> None:
    TrainingRun.objects.create(run_name="A", status="completed", base_model="m", model_type="SD15", network_dim=32)
    _import(TrainingRunResource, "run_name,notes\nA,looked at again\n")
    run = TrainingRun.objects.get(run_name="A")
    assert (run.notes, run.network_dim, run.status) == ("looked at again", 32, "completed")


def test_an_id_that_belongs_to_another_row_is_refused_and_nothing_is_overwritten() -> None:
    run = TrainingRun.objects.create(run_name="A", status="completed", base_model="m", model_type="SD15")
    header = "id,run_name,run_date,status,base_model,model_type\n"
    taken = _import(TrainingRunResource, f"{header}{run.pk},B,2026-01-01,completed,m,SD15\n")
    assert "belongs to another row" in _messages(taken)
    moved = _import(TrainingRunResource, f"{header}{run.pk + 5},A,2026-01-01,completed,m,SD15\n")
    assert "take the id column out" in _messages(moved)
    assert list(TrainingRun.objects.values_list("run_name", flat=True)) == ["A"]


def test_the_name_of_a_run_decides_over_an_id_from_another_database() -> None:
    run = TrainingRun.objects.create(run_name="A", status="completed", base_model="m", model_type="SD15")
    _import(EpochResultResource, f"training_run_id,run_name,epoch_number\n{run.pk + 70},A,4\n")
    assert EpochResult.objects.get(epoch_number=4).training_run == run
    missing = _import(EpochResultResource, "training_run_id,run_name,epoch_number\n1,Z,4\n")
    assert "no training run Z here" in _messages(missing)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("visual_quality_score", "11", "from 0 to 10"),
        ("visual_quality_score", "7.5", "not a whole number"),
        ("is_overtrained", "maybe", "neither true nor false"),
        ("issues_detail", "a;b", "not an array"),
        ("quantitative_metrics", "{'a'", "not JSON"),
        ("training_run_id", "987654", "987654 is not a valid choice"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_its_row_is_not_saved(column: str, value: str, words: str) -> None:
    columns = {"training_run_id": "", "epoch_number": "5", column: value}
    result = _import(EpochResultResource, f"{','.join(columns)}\n{','.join(columns.values())}\n")
    assert words in _messages(result)
    assert not EpochResult.objects.exists()


def test_two_results_of_one_prompt_are_told_apart_by_their_pictures() -> None:
    epoch = EpochResult.objects.create(epoch_number=1)
    prompt = TestPrompt.objects.create(prompt_name="quick", prompt_text="a punk")
    for path in ("a.png", "b.png", "b.png"):
        PromptTestResult.objects.create(epoch_result=epoch, test_prompt=prompt, image_path=path)
    header = f"epoch_result_id,test_prompt_id,image_path,score\n{epoch.pk},{prompt.pk},"
    _import(PromptTestResultResource, f"{header}a.png,8\n")
    assert PromptTestResult.objects.get(image_path="a.png").score == 8
    assert "give the id" in _messages(_import(PromptTestResultResource, f"{header}b.png,8\n"))


def test_array_literals_are_postgres_own() -> None:
    items = ["plain", "a, b", 'say "x"', "", "null", None, "back\\slash", "two\nlines", "{braces}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]::text, %s::text[]", [items, array_literal(items)])
        theirs, read = cursor.fetchone()
    assert parse_array(theirs) == parse_array(array_literal(items)) == read == items
    for wrong in ("a,b", "{{a},{b}}", '{"a}', "{a,}"):
        with pytest.raises(ValueError, match="not an array"):
            parse_array(wrong)


def test_an_operator_imports_a_file_in_the_console_after_seeing_what_it_would_do(client, shared: Path) -> None:
    client.force_login(make_user("operator"))
    address = reverse("admin:runs_trainingrun_import")
    with (shared / "legacy" / "training_runs.csv").open("rb") as file:
        preview = client.post(address, {"import_file": file, "format": "0"})
    assert not TrainingRun.objects.exists()
    confirm = preview.context["confirm_form"].initial
    client.post(reverse("admin:runs_trainingrun_process_import"), confirm)
    assert TrainingRun.objects.filter(run_name="SD15_PERFECT_Nov9", quality_score=9).exists()


def test_a_file_with_one_wrong_row_cannot_be_confirmed(client) -> None:
    client.force_login(make_user("operator"))
    file = SimpleUploadedFile("a.csv", b"epoch_number,training_run_id,visual_quality_score\n1,,8\n2,,11\n")
    page = client.post(reverse("admin:evaluation_epochresult_import"), {"import_file": file, "format": "0"})
    assert "11 is no score: scores go from 0 to 10" in page.content.decode()
    assert "confirm_form" not in page.context
    assert not EpochResult.objects.exists()


@pytest.mark.parametrize("name", ["runs_trainingrun", "evaluation_epochresult", "evaluation_testprompt"])
def test_a_viewer_may_export_but_not_import(client, name: str) -> None:
    client.force_login(make_user("viewer"))
    assert client.get(reverse(f"admin:{name}_export")).status_code == 200
    assert client.get(reverse(f"admin:{name}_import")).status_code == 403
    assert client.post(reverse(f"admin:{name}_process_import"), {}).status_code == 403


def test_formulas_are_taken_out_of_exports(client) -> None:
    TrainingRun.objects.create(
        run_name="=HYPERLINK(1)", run_date=timezone.now(), status="completed", base_model="m", model_type="SD15"
    )
    client.force_login(make_user("viewer"))
    sent = {"format": "0", "resource": "0"} | {f"trainingrunresource_{name}": "on" for name in ("run_name", "status")}
    answer = client.post(reverse("admin:runs_trainingrun_export"), sent)
    assert answer["Content-Type"].startswith("text/csv")
    assert "HYPERLINK" in answer.content.decode()
    assert "=HYPERLINK" not in answer.content.decode()


def test_a_value_that_the_database_does_not_take_is_named_with_its_column() -> None:
    result = _import(
        TrainingRunResource,
        "run_name,run_date,status,base_model,model_type\n"
        "drifted,2025-11-09,abandoned,miniature,SD15\n"
        "fine,2025-11-09,completed,miniature,SD15\n",
    )
    assert all(word in _messages(result) for word in ("status", "abandoned", "training_runs_status_check"))
    assert len(result.invalid_rows) == 1
    assert not result.has_errors()


def test_a_file_without_the_columns_that_name_its_rows_shows_no_traceback(client) -> None:
    client.force_login(make_user("operator"))
    file = SimpleUploadedFile("runs.csv", b"foo,bar\n1,2\n", content_type="text/csv")
    page = client.post(reverse("admin:runs_trainingrun_import"), {"import_file": file, "format": "0"}).content.decode()
    assert "run_name" in page
    assert "Traceback" not in page
