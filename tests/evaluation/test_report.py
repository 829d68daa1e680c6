from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from evaluation import report, scoring, selection
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from evaluation.report_chart import drawing
from evaluation.trend import Chart, Series
from runs.models import TrainingRun
from tests.evaluation.test_trend import metrics_with
from tests.factories import make_drawn, make_run, make_user

pytestmark = pytest.mark.django_db

# Whatever a browser would load or a reader could be led away by
OUTSIDE = re.compile(r"""https?://|(?:src|href)\s*=\s*(?!["']?data:)|url\(|@import|<script""", re.IGNORECASE)


def make_reported() -> TrainingRun:
    """A run of two drawn and scored epochs; one picture is gone, one waits, and people wrote what looks like HTML."""
    run = make_run(run_name="reported <b>", learning_rate=0.0004, key_findings="a <script> of findings")
    for epoch, score in enumerate((6, 8), start=1):
        drawn = make_drawn(run, epoch, prompts=2, seeds=1)
        noise = {"hair": {"rms": 0.2, "n": 4}} if epoch == 1 else None
        EpochResult.objects.filter(pk=drawn.pk).update(
            quantitative_metrics=metrics_with(noise, hair=score / 10, clean=0.5)
        )
        scoring.score(
            drawn,
            score,
            score,
            score,
            observations="Eyes <i>off</i>, see http://example.invalid",
            by=make_user("reviewer", username=f"rita-{epoch}"),
            issues=["wrong_eyes"] if epoch == 1 else [],
        )
    gone = TestRender.objects.filter(checkpoint__epoch=1).earliest("pk")
    gone.finished_path.unlink()
    TestRender.objects.filter(checkpoint__epoch=1).exclude(pk=gone.pk).update(status=Status.QUEUED, finished="")
    selection.choose(run, 1, "It <em>looks</em> better.", by=None)
    return run


def test_a_report_holds_everything_and_asks_for_nothing():
    run = make_reported()
    page = report.report_of(run)
    without_words = page.replace("see http://example.invalid", "")
    assert OUTSIDE.findall(without_words) == []
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<polyline") >= 7
    for expected in (
        "rita-2: 8, 8, 8: Eyes &lt;i&gt;off&lt;/i&gt;",
        "2 epochs scored: a trend needs 3.",
        "a &lt;script&gt; of findings",
        "chosen by somebody",
        "<strong>Too early, continue.</strong>",
        "in progress, pending, begun",
        "Issues: none. Strengths",
        "It &lt;em&gt;looks&lt;/em&gt; better. (computed: epoch 2)",
        "<dt>learning rate</dt><dd>0.0004</dd>",
        "<dt>hair as asked</dt><dd>80 %</dd>",
        '<span class="missing">not on this machine</span>',
        '<span class="missing">Queued</span>',
        '<td class="good">wrong eyes</td>',
        "prefers-color-scheme: dark",
        "image-rendering: pixelated",
    ):
        assert expected in page


def test_an_epochs_report_has_that_epoch_alone_and_an_unknown_one_is_refused():
    run = make_reported()
    page = report.report_of(run, 2)
    assert "<h2>Epoch 2" in page
    assert "<h2>Epoch 1" not in page
    assert page.count("data:image/png;base64,") == 2
    with pytest.raises(report.ReportError, match="has no epoch 7: there are 1, 2"):
        report.report_of(run, 7)


def test_an_empty_run_has_a_report_too():
    assert "No epochs yet." in report.report_of(make_run())


def test_a_big_picture_is_left_out_in_words():
    run = make_run()
    drawn = make_drawn(run, 1, prompts=1, seeds=1)
    path = TestRender.objects.get(checkpoint__run=drawn.training_run).finished_path
    path.write_bytes(path.read_bytes() + b"\0" * report.MOST_BYTES)
    page = report.report_of(run)
    assert "left out: 200 kB" in page
    assert "data:image" not in page


def test_buttons_lead_to_the_file(client):
    run = make_reported()
    address = reverse("evaluation:report", args=(run.pk,))
    assert client.get(address).status_code == 302
    client.force_login(make_user("viewer"))
    result = EpochResult.objects.get(training_run=run, epoch_number=2)
    for page in (
        reverse("admin:runs_trainingrun_change", args=(run.pk,)),
        reverse("evaluation:trend", args=(run.pk,)),
    ):
        assert f'href="{address}"' in client.get(page).content.decode()
    of_epoch = reverse("admin:evaluation_epochresult_change", args=(result.pk,))
    assert f'href="{address}?epoch=2"' in client.get(of_epoch).content.decode()
    answer = client.get(f"{address}?epoch=2")
    assert answer["Content-Disposition"] == 'attachment; filename="reported__b_-epoch-2-report.html"'
    assert "<h2>Epoch 2" in answer.content.decode()
    assert client.get(f"{address}?epoch=9").status_code == 404
    assert client.get(f"{address}?epoch=x").status_code == 404


def test_the_command_writes_the_file(tmp_path: Path):
    run = make_reported()
    file, out = tmp_path / "it.html", StringIO()
    call_command("report", str(run), epoch=1, out=file, stdout=out)
    assert "<h2>Epoch 1" in file.read_text()
    assert out.getvalue().startswith(f"{file}: ")
    with pytest.raises(CommandError, match="has no epoch 3"):
        call_command("report", str(run), epoch=3, out=file)
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("report", str(run), out=tmp_path / "no" / "folder.html")


def test_curves_lie_where_their_values_say():
    chart = Chart(
        label="a",
        epochs=[1, 2, 3],
        highest=10,
        series=[Series(label="b", values=[0.0, None, 10.0], band=([0.0, None, 8.0], [2.0, None, 10.0]))],
    )
    found = drawing(chart)
    (curve,) = found.curves
    (left, low), (right, high) = [(float(x), float(y)) for x, y in curve.points]
    assert (low, high) == (found.bottom, 10)
    assert found.left < left < right < found.right
    assert len(curve.bands) == 1
    assert [label for _, label in found.across] == ["0", "2", "4", "6", "8", "10"]
