from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from runs.models import CaptionVersion


@pytest.mark.diffusion
@pytest.mark.django_db
def test_it_makes_the_storage_folder_moves_a_counter_and_draws_on_the_processor(settings, tmp_path):
    settings.STORAGE_DIR = tmp_path / "not there yet"
    settings.STATE_DIR = tmp_path / "state"
    CaptionVersion.objects.create(id=5000, version_name="imported with its number")
    said = StringIO()
    call_command("doctor", stdout=said)
    lines = said.getvalue()
    assert "PostgreSQL" in lines
    assert "was made" in lines
    assert "caption_versions were behind" in lines
    assert "cpu" in lines
    assert (tmp_path / "state" / "device").read_text() == "cpu"
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('caption_versions', 'id'))")
        assert cursor.fetchone() == (5001,)


@pytest.mark.django_db
def test_a_base_model_and_a_broker_that_are_not_there_are_faults_with_their_mend(settings, tmp_path):
    settings.BASE_MODEL_FOLDER = str(tmp_path / "nothing")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.STORAGE_DIR = Path("/proc/nowhere")
    said = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=said)
    lines = said.getvalue()
    assert "check REDIS_URL" in lines
    assert "model_index.json" in lines
    assert "STORAGE_DIR" in lines
    assert "3 to be mended by you" in lines
