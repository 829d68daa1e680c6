from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import zipfile
from html import unescape
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from PIL import Image

from evaluation.models import TestPrompt, TestRender
from tests.factories import make_user
from tests.matrix_rows import at_weight, drawn_base, drawn_run, suite_prompts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("six_prompts")]
LEFT, TOP, STEP, GAP = 240, 40, 104, 8


def exported(client, run, kind: str, query: str = ""):
    answer = client.get(reverse("evaluation:export_matrix", args=(run.pk, kind)) + query)
    assert answer.status_code == 200
    return answer, b"".join(answer.streaming_content) if answer.streaming else answer.content


def manifest(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))


@pytest.fixture
def run():
    drawn_base()
    return drawn_run(2, run_name="to take along")


@pytest.fixture
def viewer(client):
    client.force_login(make_user("viewer"))
    return client


def test_the_sheet_holds_each_picture_in_its_place_enlarged_fourfold(viewer, run, storage):
    answer, data = exported(viewer, run, "sheet")
    assert answer["Content-Disposition"] == 'attachment; filename="to-take-along-matrix.png"'
    gone = TestRender.objects.get(checkpoint__run=run, checkpoint__epoch=1, priority=3)
    (storage / gone.finished).unlink()
    answer, data = exported(viewer, run, "sheet")
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.size == (LEFT + 6 * STEP + GAP, TOP + 3 * STEP + GAP)
        for render in TestRender.objects.filter(checkpoint__run=run):
            left, top = LEFT + GAP + render.priority * STEP, TOP + GAP + render.checkpoint.epoch * STEP
            cell = sheet.crop((left, top, left + 96, top + 96))
            if render == gone:
                assert cell.getcolors() == [(96 * 96, (221, 221, 221))], "grey where the file is gone"
                continue
            with Image.open(storage / render.finished) as picture:
                assert cell.resize((24, 24), Image.Resampling.NEAREST).tobytes() == picture.convert("RGB").tobytes()


def test_the_html_file_holds_its_pictures_and_asks_nobody_for_anything(viewer, run, storage):
    _, data = exported(viewer, run, "page", "?epochs=2")
    text = data.decode()
    inside = [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]
    shown = TestRender.objects.exclude(checkpoint__epoch=1).order_by("checkpoint__run", "priority")
    assert sorted(inside) == sorted((storage / render.finished).read_bytes() for render in shown)
    assert len(inside) == 12
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "http" not in text
    assert "epoch 2" in text
    assert "epoch 1" not in text


def test_the_zip_holds_the_originals_under_their_names_with_a_manifest(viewer, run, storage):
    first = run.checkpoints.get(epoch=1)
    light = at_weight(first, suite_prompts()[0], 0.6)
    answer, data = exported(viewer, run, "originals", "?weight=all&epochs=1")
    assert answer.streaming
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    lines = {line["name"]: line for line in manifest(archive)}
    name = f"to-take-along-1-{suite_prompts()[0].prompt_name}-42"
    assert {f"{name}.png", f"{name}-0.6.png", f"{name}-0.png"} <= set(lines)
    assert len(lines) == 6 + 6 + 6 + 1, "the base, epoch 1 at 0, as trained, and once at 0.6"
    assert set(archive.namelist()) == {"manifest.csv"} | {
        f"{size}/{one}" for size in ("raw", "finished") for one in lines
    }
    line = lines[f"{name}-0.6.png"]
    for size, path in (("raw", light.raw), ("finished", light.finished)):
        kept = (storage / path).read_bytes()
        assert archive.read(f"{size}/{name}-0.6.png") == kept
        assert line[f"{size}_sha256"] == hashlib.sha256(kept).hexdigest()
    assert json.loads(line["request"]) == light.request
    assert (line["run"], line["epoch"], line["lora_weight"], line["seed"]) == ("to take along", "1", "0.6", "42")
    assert (line["digest"], line["checkpoint_sha256"]) == (light.digest, first.sha256)


def test_the_manifest_names_what_is_missing_and_holds_no_formula(viewer, storage):
    twice = [
        TestPrompt.objects.create(prompt_name=name, prompt_text='=HYPERLINK("http://bad")') for name in ("a b", "a-b")
    ]
    run = drawn_run(1, twice, run_name="=1+1")
    (storage / TestRender.objects.get(test_prompt=twice[0]).raw).unlink()
    _, data = exported(viewer, run, "originals")
    archive = zipfile.ZipFile(io.BytesIO(data))
    one, other = manifest(archive)
    assert one["note"] == "the raw picture is not on this machine"
    assert one["name"] != other["name"], "two prompts that are written alike"
    assert (one["run"], one["prompt"]) == ("'=1+1", '\'=HYPERLINK("http://bad")')
    assert sorted(archive.namelist()) == sorted(
        ["manifest.csv", f"finished/{one['name']}", f"raw/{other['name']}", f"finished/{other['name']}"]
    )


def test_another_export_is_not_there_and_outsiders_get_none(viewer, client, run):
    address = reverse("evaluation:export_matrix", args=(run.pk, "video"))
    answer = viewer.get(address)
    assert answer.status_code == 404
    client.force_login(make_user())
    for kind in ("sheet", "page", "originals"):
        assert client.get(reverse("evaluation:export_matrix", args=(run.pk, kind))).status_code == 302


def test_the_command_writes_the_same_files_and_queues_a_full_comparison(run, tmp_path, viewer, capsys):
    files = {kind: tmp_path / f"all.{kind}" for kind in ("sheet", "page", "originals")}
    call_command("compare", run.run_name, **files)
    _, sheet = exported(viewer, run, "sheet")
    assert files["sheet"].read_bytes() == sheet
    assert files["page"].read_text().count("data:image/png") == 18
    assert len(manifest(zipfile.ZipFile(files["originals"]))) == 18
    call_command("compare", run.run_name, full=True)
    assert "to draw: 18 pictures, about" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("compare", run.run_name, sheet=Path(tmp_path / "no folder" / "sheet.png"))


def test_the_page_links_to_exports_of_what_it_shows(viewer, run):
    page = unescape(viewer.get(reverse("evaluation:compare", args=(run.pk,)) + "?epochs=2&weight=0").content.decode())
    for kind in ("sheet", "page", "originals"):
        assert f"{reverse('evaluation:export_matrix', args=(run.pk, kind))}?epochs=2&weight=0" in page
