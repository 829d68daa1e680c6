from __future__ import annotations

from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from punklab import roles
from runs.caption_findings import find
from runs.models import CaptionVersion, Lease, TrainingImage, TrainingJob, TrainingRun
from tests.factories import CAPTION, CONFIG, make_caption_version, make_job, make_run, make_user

pytestmark = pytest.mark.django_db


def _log_in(client: Client, role: str) -> User:
    user = make_user(role)
    client.force_login(user)
    return user


def _change(row: TrainingRun | CaptionVersion) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))


def _act(run: TrainingRun, name: str) -> str:
    return reverse("admin:runs_trainingrun_act", args=(run.pk, name))


class _Fields(HTMLParser):
    """The fields of the change form with what they hold, as a browser would send them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._area = self._select = ""
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        given = dict(attrs)
        name = given.get("name", "")
        if tag == "form":
            self._inside = given.get("id") == "trainingrun_form"
        if not self._inside:
            return
        if tag == "input" and given.get("type") not in ("submit", "checkbox"):
            self.sent[name] = (given.get("value") or "").replace("\n", "\r\n")
        elif tag == "textarea":
            self._area = name
            self.sent[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.sent[self._select] = given["value"] or ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.sent[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area:
            # Browsers drop the first line end, which the page puts there.
            self.sent[self._area] = self.sent[self._area].removeprefix("\n").replace("\n", "\r\n")
            self._area = ""


def _as_a_browser_would_send(page) -> dict[str, str]:
    return _Fields(page.content.decode()).sent


@pytest.fixture
def drifted(db: None) -> TrainingRun:
    """A run as the lab's table may hold one: values that no document knows, texts and arrays of every kind."""
    with connection.cursor() as cursor:
        for name in ("status_check", "overall_verdict_check", "model_type_check", "quality_score_check"):
            cursor.execute(f"ALTER TABLE training_runs DROP CONSTRAINT training_runs_{name}")
        cursor.execute(
            """
            INSERT INTO training_runs (run_name, run_date, status, base_model, model_type, overall_verdict, quality_score,
                key_findings, comparison_notes, output_dir, issues_found, strengths, all_parameters, learning_rate)
            VALUES ('drifted', '2025-11-09 20:22:00.123456', 'abandoned', '', 'SD21', 'meh', 11,
                E' two\nlines \n', '', E'a\nb', ARRAY['', NULL, 'a, b'], '{}', '{"b": [1, null]}', 0.1::float8 + 0.2)
            RETURNING id
            """
        )
        pk = cursor.fetchone()[0]
    return TrainingRun.objects.get(pk=pk)


def test_values_that_no_document_knows_are_offered_and_saving_changes_only_what_was_typed(client, drifted) -> None:
    _log_in(client, "operator")
    before: dict[str, Any] = dict(TrainingRun.objects.values().get(pk=drifted.pk))
    page = client.get(_change(drifted))
    assert "abandoned (kept as it is)" in page.content.decode()
    assert "SD21 (kept as it is)" in page.content.decode()
    answer = client.post(_change(drifted), _as_a_browser_would_send(page) | {"notes": "seen again"})
    assert answer.status_code == 302, answer.context["errors"]
    after: dict[str, Any] = dict(TrainingRun.objects.values().get(pk=drifted.pk))
    changed = {name for name in after if after[name] != before[name]} - {"updated_at"}
    assert changed == {"notes"}
    assert after["notes"] == "seen again"


def test_arrays_are_typed_one_a_line_and_an_unknown_value_can_be_mended(client, drifted) -> None:
    _log_in(client, "operator")
    sent = _as_a_browser_would_send(client.get(_change(drifted)))
    sent |= {
        "status": "failed",
        "issues_found": "wrong, in two ways\r\n\r\nblurry \r\n",
        "all_parameters": '{"conv_dim": 8}',
    }
    assert client.post(_change(drifted), sent).status_code == 302
    drifted.refresh_from_db()
    assert (drifted.status, drifted.overall_verdict) == ("failed", "meh")
    assert drifted.issues_found == ["wrong, in two ways", "blurry"]
    assert drifted.all_parameters == {"conv_dim": 8}


def test_what_the_database_would_refuse_is_refused_on_the_form_by_name(client) -> None:
    _log_in(client, "operator")
    run = make_run(status="completed")
    sent = _as_a_browser_would_send(client.get(_change(run)))
    sent |= {"status": "forged", "all_parameters": '{"a": "\\u0000"}', "network_dim": "99999999999"}
    page = unescape(client.post(_change(run), sent).content.decode())
    assert "'forged' is none of in_progress, completed, failed, cancelled." in page
    assert "take it out" in page
    assert "less than or equal to 2147483647" in page
    run.refresh_from_db()
    assert run.status == "completed"


def test_a_column_that_a_machine_wrote_meanwhile_is_not_overwritten(client) -> None:
    _log_in(client, "operator")
    run = make_run()
    sent = _as_a_browser_would_send(client.get(_change(run)))
    TrainingRun.objects.filter(pk=run.pk).update(total_steps=77, key_findings="written meanwhile")
    assert client.post(_change(run), sent | {"notes": "mine"}).status_code == 302
    run.refresh_from_db()
    assert (run.total_steps, run.key_findings, run.notes) == (77, "written meanwhile", "mine")


def test_the_status_of_a_run_whose_job_works_is_not_for_people_to_change(client) -> None:
    _log_in(client, "operator")
    run = make_job(status="running", step=41, total_steps=90).run
    page = client.get(_change(run))
    assert "status" not in page.context["adminform"].form.fields
    assert "step 41 of 90" in page.content.decode()
    client.post(_change(run), _as_a_browser_would_send(page) | {"status": "failed"})
    run.refresh_from_db()
    assert run.status == "in_progress"


def test_a_viewer_sees_the_run_but_no_act_and_may_do_none(client) -> None:
    run = make_run()
    _log_in(client, "viewer")
    page = client.get(_change(run)).content.decode()
    assert run.run_name in page
    assert "/act/" not in page
    for name in ("start", "cancel", "close", "queue-tests", "cancel-tests"):
        assert client.get(_act(run, name)).status_code == 403
        assert client.post(_act(run, name)).status_code == 403
    assert client.get(reverse("admin:runs_trainingrun_add")).status_code == 403
    assert not TrainingJob.objects.exists()


def test_an_operator_starts_a_run_on_a_confirming_page_and_cancels_it(client) -> None:
    operator = _log_in(client, "operator")
    version = make_caption_version()
    run = make_run(caption_version=version.version_name)
    assert "Train 2 epochs" in unescape(client.get(_act(run, "start")).content.decode())
    assert not TrainingJob.objects.exists()
    answer = client.post(_act(run, "start"), follow=True)
    assert "is queued" in answer.content.decode()
    job = TrainingJob.objects.get(run=run)
    assert (job.by, job.status) == (operator, "queued")
    assert OrmQ.objects.exists()
    client.post(_act(run, "cancel"))
    job.refresh_from_db()
    assert job.status == "cancelled" or job.cancel_requested_at is not None


def test_an_act_that_is_refused_says_why_on_its_page(client) -> None:
    _log_in(client, "operator")
    run = make_run(base_model="stabilityai/stable-diffusion-xl-base-1.0", model_type="SDXL")
    assert "Start training" not in client.get(_change(run)).content.decode()
    page = client.post(_act(run, "start"))
    assert page.status_code == 200
    assert "SDXL runs are kept and shown" in page.content.decode()


def test_closing_writes_verdict_score_and_best_epoch_together(client) -> None:
    operator = _log_in(client, "operator")
    run = make_run(status="completed")
    half = client.post(_act(run, "close"), {"verdict": "failure", "findings": "", "quality_score": 12})
    assert "This field is required" in half.content.decode()
    assert "less than or equal to 10" in half.content.decode()
    sent = {"verdict": "partial", "findings": "Hair is right.", "quality_score": 6, "best_epoch": 2}
    assert client.post(_act(run, "close"), sent).status_code == 302
    run.refresh_from_db()
    assert (run.overall_verdict, run.quality_score, run.best_epoch) == ("partial", 6, 2)
    assert operator.username in (run.notes or "")


def test_a_run_is_created_from_a_config_and_a_wrong_one_is_explained(client) -> None:
    _log_in(client, "operator")
    version = make_caption_version()
    address = reverse("admin:runs_trainingrun_add")
    sent = {"name": "typed", "captions": version.pk, "config_text": 'unet_lr = "fast'}
    refused = client.post(address, sent)
    assert refused.status_code == 200
    assert "errornote" in refused.content.decode()
    assert not TrainingRun.objects.exists()
    assert client.post(address, sent | {"config_text": CONFIG}).status_code == 302
    run = TrainingRun.objects.get()
    assert (run.run_name, run.network_dim, run.caption_version) == ("typed", 4, version.version_name)
    alike = client.get(address, {"like": run.pk}).content.decode()
    assert "network_dim = 4" in unescape(alike)


def test_a_caption_version_shows_its_pictures_its_runs_and_its_findings(client) -> None:
    _log_in(client, "viewer")
    version = make_caption_version(pairs=3, caption=CAPTION.replace("red lips (#aa3344), ", ""))
    run = make_run(caption_version=version.version_name)
    page = client.get(_change(version)).content.decode()
    assert page.count('<img class="punk"') == 3
    assert _change(run) in page
    findings = reverse("admin:runs_captionversion_findings", args=(version.pk,))
    assert "are being checked" in client.get(findings).content.decode()
    find(version.pk)
    found = client.get(findings).content.decode()
    assert "no_lips" in found
    assert "3 blocking" in found
    record = CaptionVersion.objects.create(version_name="record only")
    unchecked = client.get(reverse("admin:runs_captionversion_findings", args=(record.pk,)), follow=True)
    assert "There is nothing to check" in unchecked.content.decode()
    assert "import_captions" in client.get(_change(record)).content.decode()


def test_a_training_picture_is_served_to_staff_only_and_kept_by_their_browser(client) -> None:
    make_caption_version(pairs=1)
    image = TrainingImage.objects.get()
    address = reverse("admin:runs_trainingimage_png", args=(image.pk,))
    assert client.get(address).status_code == 302
    _log_in(client, "viewer")
    answer = client.get(address)
    assert answer.content == bytes(image.png)
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    client.force_login(make_user("", username="staff without a role"))
    assert client.get(address).status_code == 302


def test_only_administrators_can_queue_a_failed_task_again(client) -> None:
    _log_in(client, "publisher")
    page = client.get(reverse("admin:django_q_failure_changelist"))
    assert page.status_code == 200
    assert "resubmit" not in page.content.decode()
    assert roles.PUBLISHER in {group.name for group in page.wsgi_request.user.groups.all()}


def test_a_rented_run_tells_its_machines_and_what_they_cost(client) -> None:
    job = make_job(backend="runpod", status="running")
    now = timezone.now()
    Lease.objects.create(
        job=job, name="lora-0a1b2c3d-1-1-a1", attempt=1, state="released", machine="pod1", gpu="NVIDIA RTX A5000",
        data_center="EU-RO-1", volume="v", price="0.50", requested_at=now - timedelta(hours=3),
        released_at=now - timedelta(hours=1), seconds={"training": 3600.0}, reason="The machine vanished.",
    )  # fmt: skip
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:runs_trainingrun_change", args=(job.run_id,))).content.decode()
    assert "<strong>1.00 USD</strong> so far; 50 % of the paid time was no training" in page
    assert "NVIDIA RTX A5000 in EU-RO-1, 2.00 h, 1.00 USD" in page
    assert "The machine vanished." in page
    assert (
        "Rented machines"
        not in client.get(reverse("admin:runs_trainingrun_change", args=(make_job().run_id,))).content.decode()
    )
