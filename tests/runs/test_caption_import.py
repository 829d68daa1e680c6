from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django_q.models import OrmQ
from PIL import Image

from runs.caption_import import import_captions
from runs.captions import find_version, load_pairs, runs_using
from runs.models import Caption, CaptionVersion, TrainingImage, TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]

TEXT = (
    "pixel art, 24x24, portrait of bespoke punk lad, {} hair (#663300), wearing silver necklace, lips (#cc6666), "
    "neutral expression, solid blue background (#0066ff)"
)


def write_pair(folder: Path, stem: str, text: str, seed: int = 0, size: int = 48) -> None:
    cells = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST).save(folder / f"{stem}.png")
    (folder / f"{stem}.txt").write_bytes(text.encode())


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed, stem in enumerate(("lad_1", "lad_2", "lad_3")):
        write_pair(tmp_path / "captions v1", stem, TEXT.format("brown") + "\r\n" * seed, seed)
    return tmp_path / "captions v1"


def run(*arguments) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_an_import_keeps_texts_and_pictures_and_fills_the_mirrored_columns(folder):
    said = run("import_captions", folder, "--name", "v1")
    assert "3 captions (3 added, 0 changed, 0 removed), 3 new pictures" in said
    version = CaptionVersion.objects.get(version_name="v1")
    assert version.num_caption_files == 3
    assert version.includes_hex_codes
    assert version.includes_accessories
    assert version.includes_jewelry
    assert version.detail_level == "very_detailed"
    assert version.sample_caption == TEXT.format("brown")
    assert version.directory_path == str(folder)
    assert version.created_date is not None
    assert OrmQ.objects.count() == 1  # the queue checks them
    assert "3 distinct colour codes" in (version.format_description or "")
    assert [pair.text for pair in load_pairs(version)] == [TEXT.format("brown") + "\r\n" * i for i in range(3)]


def test_the_same_pairs_again_change_nothing_and_a_second_version_stores_no_picture_twice(folder):
    run("import_captions", folder, "--name", "v1")
    before = list(Caption.objects.order_by("id").values_list("id", "text"))
    OrmQ.objects.all().delete()
    assert "all there already" in run("import_captions", folder, "--name", "v1")
    assert list(Caption.objects.order_by("id").values_list("id", "text")) == before
    assert not OrmQ.objects.exists()
    other = folder.parent / "v2"
    other.mkdir()
    for text in folder.glob("*.txt"):
        (other / text.name).write_text(TEXT.format("red"))
    assert "0 new pictures" in run("import_captions", other, "--images", folder, "--name", "v2")
    assert (TrainingImage.objects.count(), Caption.objects.count()) == (3, 6)


def test_a_changed_caption_is_named_and_refused_until_replace_is_said(folder):
    run("import_captions", folder, "--name", "v1")
    TrainingRun.objects.create(
        run_name="first", status="completed", base_model="m", model_type="SD15", caption_version="v1"
    )
    write_pair(folder, "lad_2", TEXT.format("black"), 1)
    write_pair(folder, "lad_4", TEXT.format("black"), 9)
    (folder / "lad_3.txt").unlink()
    (folder / "lad_3.png").unlink()
    with pytest.raises(CommandError) as refused:
        run("import_captions", folder, "--name", "v1")
    said = str(refused.value)
    assert "lad_2: changed" in said
    assert "lad_3: no longer there" in said
    assert "lad_4: new" in said
    assert "lad_1" not in said
    assert "first" in said, "the run that was trained on it is named"
    assert Caption.objects.filter(stem="lad_2", text=TEXT.format("black")).count() == 0
    assert "1 added, 1 changed, 1 removed" in run("import_captions", folder, "--name", "v1", "--replace")
    assert list(Caption.objects.values_list("stem", flat=True)) == ["lad_1", "lad_2", "lad_4"]
    assert find_version("v1").num_caption_files == 3


def test_a_changed_picture_is_a_change_too(folder):
    run("import_captions", folder, "--name", "v1")
    write_pair(folder, "lad_1", TEXT.format("brown"), 77)
    with pytest.raises(CommandError, match="lad_1: changed"):
        run("import_captions", folder, "--name", "v1")


def test_one_bad_file_leaves_nothing_behind(folder):
    (folder / "lad_2.txt").write_bytes(b"\xff\xfe")
    (folder / "lad_3.png").unlink()
    with pytest.raises(CommandError) as refused:
        run("import_captions", folder, "--name", "v1")
    assert "lad_2.txt: is not UTF-8" in str(refused.value)
    assert "lad_3.png is missing" in str(refused.value)
    assert not CaptionVersion.objects.exists()
    assert not TrainingImage.objects.exists()


def test_a_failure_half_way_leaves_nothing_behind(folder, monkeypatch):
    def fail(*_args):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("runs.caption_import._save_captions", fail)
    with pytest.raises(RuntimeError):
        import_captions(folder, None, "v1")
    assert not CaptionVersion.objects.exists()
    assert not TrainingImage.objects.exists()


def test_a_picture_that_changes_during_the_import_stops_it(folder, monkeypatch):
    reading = "runs.caption_import._save_images"
    save = import_captions.__globals__["_save_images"]

    def change_then_save(pairs):
        write_pair(folder, "lad_1", TEXT.format("brown"), 50)
        return save(pairs)

    monkeypatch.setattr(reading, change_then_save)
    with pytest.raises(CommandError, match=r"lad_1\.png: changed while it was being imported"):
        run("import_captions", folder, "--name", "v1")
    assert not CaptionVersion.objects.exists()


def test_a_version_of_the_labs_own_table_gets_its_captions_and_keeps_what_people_wrote(folder):
    CaptionVersion.objects.create(
        version_name="v1", directory_path="/Users/owner/v1", format_description="by hand", detail_level="minimal",
        used_in_training_runs=["SD15_PERFECT"], accuracy_verified=True,
    )  # fmt: skip
    run("import_captions", folder, "--name", "v1")
    version = find_version("v1")
    kept = (version.directory_path, version.format_description, version.detail_level, version.accuracy_verified)
    assert kept == ("/Users/owner/v1", "by hand", "minimal", True)
    assert version.num_caption_files == 3
    assert runs_using(version) == ["SD15_PERFECT"]


def test_an_export_gives_back_the_bytes_that_were_imported(folder, tmp_path):
    run("import_captions", folder, "--name", "v1")
    out = tmp_path / "new" / "out"
    assert "3 pairs written" in run("export_captions", "v1", out)
    for file in folder.iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes()
    assert "all there already" in run("import_captions", out, "--name", "v1")
    with pytest.raises(CommandError, match="not empty"):
        run("export_captions", "v1", out)


def test_an_export_can_write_the_cells_at_another_size(folder, tmp_path):
    run("import_captions", folder, "--name", "v1")
    run("export_captions", "v1", tmp_path / "big", "--factor", 16)
    with Image.open(tmp_path / "big" / "lad_1.png") as picture, Image.open(folder / "lad_1.png") as original:
        assert picture.size == (384, 384)
        assert picture.getpixel((8, 8)) == original.getpixel((1, 1))
    with pytest.raises(CommandError, match="--factor 0"):
        run("export_captions", "v1", tmp_path / "none", "--factor", 0)


def test_an_export_that_fails_leaves_no_folder(folder, tmp_path):
    run("import_captions", folder, "--name", "v1")
    Caption.objects.filter(stem="lad_2").update(stem="../lad_2")
    with pytest.raises(CommandError, match="no file name"):
        run("export_captions", "v1", tmp_path / "out")
    assert not [path.name for path in tmp_path.iterdir() if "out" in path.name]


def test_the_check_reports_in_json_and_fails_when_a_finding_blocks(folder, settings):
    settings.BLOCKING_CAPTION_FINDINGS = frozenset({"no_lips"})
    run("import_captions", folder, "--name", "v1")
    found = json.loads(run("check_captions", "v1", "--format", "json"))["findings"]
    assert {each["code"] for each in found} == {"few_hex_codes"}
    assert all(set(each) == {"file", "code", "detail", "blocking"} and not each["blocking"] for each in found)
    Caption.objects.filter(stem="lad_1").update(text="portrait of bespoke punk lad, slight smile")
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 findings block") as failed:
        call_command("check_captions", "v1", "--format", "json", stdout=out)
    assert failed.value.returncode == 1
    (blocking,) = [each for each in json.loads(out.getvalue())["findings"] if each["blocking"]]
    assert (blocking["file"], blocking["code"]) == ("lad_1.txt", "no_lips")


def test_a_folder_can_be_checked_before_it_is_imported(folder):
    (folder / "lad_1.png").unlink()
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("check_captions", "--dir", str(folder), stdout=out)
    assert "lad_1.txt: BLOCKS missing_partner: lad_1.png is missing" in out.getvalue()


def test_commands_name_what_they_cannot_find(folder):
    run("import_captions", folder, "--name", "v1")
    CaptionVersion.objects.create(version_name="paper only")
    with pytest.raises(CommandError, match="there are: paper only, v1"):
        run("check_captions", "v9")
    with pytest.raises(CommandError, match="import_captions"):
        run("check_captions", "paper only")
    with pytest.raises(CommandError, match="--dir"):
        run("check_captions")
    with pytest.raises(CommandError, match="needs a name"):
        run("import_captions", folder, "--name", " ")


def test_the_real_pairs_come_in_twice_over_and_go_out_unchanged(shared, tmp_path):
    punks = shared / "punks"
    for name in ("final_corrected_v1", "caption_fix_v1"):
        run("import_captions", punks / name, "--images", punks / "images", "--name", name)
    distinct = len({path.read_bytes() for path in (punks / "images").iterdir()})
    assert (TrainingImage.objects.count(), Caption.objects.count()) == (distinct, 406)
    run("export_captions", "caption_fix_v1", tmp_path / "out")
    for file in (punks / "caption_fix_v1").iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    shutil.rmtree(tmp_path / "out")
