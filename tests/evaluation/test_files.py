"""The five tables as files of three kinds: there and back, all or nothing, every wrong row by its number."""

from __future__ import annotations

from datetime import date
from html import unescape

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from import_export.results import RowResult

from evaluation.models import EpochResult, PromptTestResult, TestPrompt
from evaluation.resources import EpochResultResource, PromptTestResultResource, TestPromptResource
from punklab.mirrored_files import MOST_WRONG
from runs.models import CaptionVersion, TrainingRun
from runs.resources import CaptionVersionResource, TrainingRunResource
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]

TABLES = {
    "runs_captionversion": CaptionVersionResource,
    "runs_trainingrun": TrainingRunResource,
    "evaluation_epochresult": EpochResultResource,
    "evaluation_testprompt": TestPromptResource,
    "evaluation_prompttestresult": PromptTestResultResource,
}
FORMATS = {"csv": "0", "xlsx": "1", "json": "2"}
HEADER = "run_name,run_date,status,base_model,model_type,quality_score\n"


def columns_of(resource):
    return [(name, f"{resource.__name__.lower()}_{name}") for name in resource().get_export_order()]


def exported(client, name, kind):
    fields = {field: "on" for _, field in columns_of(TABLES[name])}
    answer = client.post(reverse(f"admin:{name}_export"), {"format": FORMATS[kind], "resource": "0"} | fields)
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    return answer.content


def previewed(client, name, kind, content):
    file = SimpleUploadedFile(f"a.{kind}", content)
    return client.post(reverse(f"admin:{name}_import"), {"import_file": file, "format": FORMATS[kind]})


@pytest.fixture
def rows():
    TestPrompt.objects.all().update(purpose="=1+1")
    version = CaptionVersion.objects.create(
        version_name="v1", notes="two\nlines", used_in_training_runs=["a, b"], created_date=date(2026, 1, 2)
    )
    run = TrainingRun.objects.create(
        run_name="A",
        status="completed",
        base_model="m",
        model_type="SD15",
        learning_rate=1e-07,
        quality_score=9,
        issues_found=["a, b", 'c "d"'],
        all_parameters={"conv_dim": 8},
        caption_version=version.version_name,
    )
    epoch = EpochResult.objects.create(training_run=run, epoch_number=3, quantitative_metrics={"a": [1]})
    PromptTestResult.objects.create(
        epoch_result=epoch, test_prompt=TestPrompt.objects.first(), image_path="/far/a.png", passed=True
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", TABLES)
def test_each_table_leaves_as_a_file_of_each_kind_and_comes_back_without_a_change(client, rows, name, kind):
    client.force_login(make_user("operator"))
    TestPrompt.objects.all().update(purpose="plain")  # formulas change on their way out: see below
    before = list(TABLES[name]._meta.model.objects.order_by("pk").values())
    page = previewed(client, name, kind, exported(client, name, kind))
    result = page.context["result"]
    assert not result.has_errors(), [error.error for row in result.error_rows for error in row.errors]
    assert not result.has_validation_errors(), [str(row.error) for row in result.invalid_rows]
    assert result.totals[RowResult.IMPORT_TYPE_SKIP] == result.total_rows == len(before)
    client.post(reverse(f"admin:{name}_process_import"), page.context["confirm_form"].initial)
    assert list(TABLES[name]._meta.model.objects.order_by("pk").values()) == before


def test_formulas_leave_as_text_and_come_in_as_the_text_they_are(client, rows):
    client.force_login(make_user("operator"))
    sheet = tablib.Dataset().load(exported(client, "evaluation_testprompt", "xlsx"), format="xlsx")
    assert set(sheet["purpose"]) == {"1+1"}
    text = b"prompt_name,prompt_text,purpose\nnew,a punk,=HYPERLINK(1)\n"
    page = previewed(client, "evaluation_testprompt", "csv", text)
    client.post(reverse("admin:evaluation_testprompt_process_import"), page.context["confirm_form"].initial)
    assert TestPrompt.objects.get(prompt_name="new").purpose == "=HYPERLINK(1)"
    assert b"=HYPERLINK" not in exported(client, "evaluation_testprompt", "csv")


def test_json_may_hold_arrays_and_objects_as_such():
    data = tablib.Dataset(headers=["epoch_number", "training_run_id", "issues_detail", "quantitative_metrics"])
    data.append([4, None, ["a, b"], {"means": {"hair": 0.5}}])
    result = EpochResultResource().import_data(data)
    assert not result.has_validation_errors()
    row = EpochResult.objects.get(epoch_number=4)
    assert (row.issues_detail, row.quantitative_metrics) == (["a, b"], {"means": {"hair": 0.5}})


def test_each_wrong_row_is_named_with_column_value_and_mend_and_nothing_comes_in(client):
    client.force_login(make_user("operator"))
    rows = "good,2026-01-01,completed,m,SD15,8\nhigh,2026-01-01,completed,m,SD15,11\nodd,2026-01-01,forged,m,SD15,8\n"
    page = unescape(previewed(client, "runs_trainingrun", "csv", (HEADER + rows).encode()).content.decode())
    assert "2 rows cannot be imported" in page
    assert "Row 2:" in page
    assert "<strong>quality_score</strong> 11 is no score: scores go from 0 to 10" in page
    assert "Row 3:" in page
    assert "status 'forged'" in page
    assert "Change the value" in page
    assert "Confirm import" not in page
    assert not TrainingRun.objects.exists()


def test_a_row_that_became_wrong_after_its_preview_keeps_the_whole_file_out(client):
    client.force_login(make_user("operator"))
    rows = "first,2026-01-01,completed,m,SD15,8\nsecond,2026-01-01,completed,m,SD15,8\n"
    page = previewed(
        client, "runs_trainingrun", "csv", (f"id,{HEADER}" + "901," + rows.replace("\nsec", "\n902,sec")).encode()
    )
    assert "2 new, 0 changed, 0 as they are" in page.content.decode()
    TrainingRun.objects.create(pk=902, run_name="meanwhile", status="completed", base_model="m", model_type="SD15")
    answer = client.post(
        reverse("admin:runs_trainingrun_process_import"), page.context["confirm_form"].initial, follow=True
    )
    assert "Nothing was imported: row 2: " in unescape(answer.content.decode())
    assert list(TrainingRun.objects.values_list("run_name", flat=True)) == ["meanwhile"]


def test_thousands_of_wrong_rows_are_answered_with_a_short_page(client):
    client.force_login(make_user("operator"))
    rows = ["good,2026-01-01,completed,m,SD15,8"]
    rows += [f"run {n},2026-01-01,completed,m,SD15,11" for n in range(MOST_WRONG)]
    exactly = previewed(client, "runs_trainingrun", "csv", (HEADER + "\n".join(rows)).encode()).content
    assert b"The first 50 of 100 wrong rows." in exactly
    assert b"not looked at" not in exactly
    rows += [f"{n},2026-01-01,{word},m,SD15,8" for n in range(2000) for word in ("forged", "completed")]
    with CaptureQueriesContext(connection) as queries:
        page = previewed(client, "runs_trainingrun", "csv", (HEADER + "\n".join(rows)).encode()).content
    assert len(queries) < 500
    assert b"The first 50 of 100 wrong rows." in page
    assert b"the rest of the 4101 rows was not looked at" in page
    assert len(page) < 100_000
    assert not TrainingRun.objects.exists()


def test_a_long_preview_is_short_too(client):
    client.force_login(make_user("operator"))
    rows = "".join(f"run {n},2026-01-01,completed,m,SD15,8\n" for n in range(200))
    page = previewed(client, "runs_trainingrun", "csv", (HEADER + rows).encode()).content.decode()
    assert "200 new, 0 changed, 0 as they are; the first 50 of 200 rows are shown" in page
    assert "run 49" in page
    assert "run 50<" not in page


@pytest.mark.parametrize("name", TABLES)
def test_no_file_comes_in_through_a_viewer(client, name):
    client.force_login(make_user("viewer"))
    assert previewed(client, name, "csv", b"a\n1\n").status_code == 403
