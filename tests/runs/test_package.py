"""The package that goes to a rented machine, and its description."""

from __future__ import annotations

import hashlib
import io
import json
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from punklab.pixels.grid import sample
from runs.caption_import import import_captions
from runs.models import Caption, CaptionVersion, TrainingJob, TrainingRun
from runs.package import PackageError, build_package, pack, spec_of
from runs.training import create_run, new_job
from tests.factories import CAPTION, CONFIG, make_caption_version, make_run, write_lora

pytestmark = pytest.mark.django_db


def created(name: str = "neon", config: str = CONFIG, captions: CaptionVersion | None = None) -> TrainingRun:
    return create_run(name, captions=captions or make_caption_version(), config_text=config, repeats=3)


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sized(run: TrainingRun, resolution: str) -> TrainingJob:
    """A job at a size that the miniature is not trained at here: its config alone."""
    job = new_job(run)
    job.config = job.config.replace("96,96", resolution)
    return job


def test_the_package_is_what_kohya_reads_and_its_manifest_names_every_file() -> None:
    run = created()
    files = opened(pack(new_job(run)))
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["version"] == 1
    assert manifest["files"] == [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    stems = [f"train_data/3_neon/lady_{number:03d}" for number in range(1, 5)]
    assert sorted(files) == [*sorted(stem + end for stem in stems for end in (".png", ".txt")), "training_config.toml"]
    config = tomllib.loads(files["training_config.toml"].decode())
    assert config["caption_extension"] == ".txt"
    assert (config["save_every_n_epochs"], config["save_state"]) == (1, True)
    assert (config["train_data_dir"], config["output_dir"], config["max_train_epochs"]) == ("train_data", "output", 2)


def test_the_captions_are_those_of_the_runs_version_alone() -> None:
    words = CAPTION + ", of this version"
    captions = make_caption_version(pairs=2, caption=words)
    make_caption_version(caption="of another")
    files = opened(pack(new_job(created(captions=captions))))
    texts = [content.decode() for name, content in files.items() if name.endswith(".txt")]
    assert texts == [words] * 2


@pytest.mark.parametrize("size", [384, 576, 768, 96])
def test_each_pixel_of_a_punk_becomes_a_square_of_one_colour(size: int) -> None:
    run = created()
    for name, content in opened(pack(sized(run, f"{size},{size}"))).items():
        if not name.endswith(".png"):
            continue
        picture = np.asarray(Image.open(io.BytesIO(content)))
        assert picture.shape == (size, size, 3)
        caption = Caption.objects.get(version__version_name=run.caption_version, stem=Path(name).stem)
        cells = sample(Image.open(io.BytesIO(bytes(caption.image.png))))
        assert np.array_equal(picture, cells.repeat(size // 24, axis=0).repeat(size // 24, axis=1))


def test_512_is_taken_where_the_run_says_so_and_an_odd_size_is_refused() -> None:
    run = created()
    job = sized(run, "512,512")
    assert Image.open(io.BytesIO(opened(pack(job))["train_data/3_neon/lady_001.png"])).size == (512, 512)
    job.config = job.config.replace("512,512", "500,500")
    with pytest.raises(PackageError, match=r"500,500.*multiples of 192"):
        pack(job)


def test_the_bytes_are_the_same_each_time_and_those_of_a_job_stay() -> None:
    job = new_job(created())
    assert pack(job) == pack(job)
    first = build_package(job)
    Caption.objects.filter(stem="lady_001").update(text="a punk with something else")
    assert build_package(job) == first
    assert pack(job) != first


def test_nothing_of_this_machine_goes_along_but_the_weights_that_it_starts_from(tmp_path: Path) -> None:
    weights = write_lora(tmp_path / "earlier.safetensors")
    places = f'logging_dir = "{tmp_path}"\nsample_prompts = "{tmp_path}/a.txt"\nnetwork_weights = "{weights}"\n'
    run = created(config=CONFIG + places)
    files = opened(pack(new_job(run)))
    assert str(tmp_path).encode() not in files["training_config.toml"]
    config = tomllib.loads(files["training_config.toml"].decode())
    assert files[config["network_weights"]] == weights.read_bytes()
    assert "network_weights.safetensors" in files["manifest.json"].decode()
    job = run.jobs.get()
    weights.unlink()
    with pytest.raises(PackageError, match=r"earlier\.safetensors cannot be read"):
        pack(job)


def test_captions_that_are_not_here_are_named() -> None:
    job = TrainingJob(run=make_run(caption_version="gone"), config=CONFIG)
    with pytest.raises(PackageError, match="import_captions DIR --name gone"):
        pack(job)


def test_the_spec_says_what_the_pod_is_to_do(settings) -> None:
    job = new_job(created())
    content = pack(job)
    raw = spec_of(job, "1f2e3d4c-17", content)
    spec = json.loads(raw)
    sha256 = hashlib.sha256(content).hexdigest()
    assert spec["package"] == {"key": f"packages/{sha256}.zip", "size": len(content), "sha256": sha256}
    assert (spec["job"], spec["epochs"], spec["total_steps"], spec["output_name"]) == ("1f2e3d4c-17", 2, 12, "neon")
    assert spec["trainer"]["commit"] == settings.KOHYA_COMMIT
    assert spec_of(job, "1f2e3d4c-17", content) == raw


def test_the_command_writes_the_package_and_leaves_no_job_behind(tmp_path: Path) -> None:
    run = created()
    out = tmp_path / "neon.zip"
    call_command("package_run", "neon", str(out))
    assert not TrainingJob.objects.exists()
    assert out.read_bytes() == build_package(new_job(run))


def test_the_commands_package_is_not_taken_for_that_of_a_later_job(tmp_path: Path) -> None:
    run = created()
    call_command("package_run", "neon", str(tmp_path / "neon.zip"))
    TrainingRun.objects.filter(pk=run.pk).update(all_parameters=run.all_parameters | {"seed": 7})
    config = opened(build_package(new_job(run)))["training_config.toml"].decode()
    assert tomllib.loads(config)["seed"] == 7


def test_the_command_refuses_what_it_cannot_do_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "neon.zip"
    with pytest.raises(CommandError, match="neon"):
        call_command("package_run", "neon", str(out))
    created()
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"file/neon\.zip: "):
        call_command("package_run", "neon", str(tmp_path / "file" / "neon.zip"))
    Caption.objects.filter(stem="lady_001").update(text="")
    with pytest.raises(CommandError, match="neon was not packed: lady_001"):
        call_command("package_run", "neon", str(out))
    assert not out.exists()


def test_the_labs_real_set_is_packed(shared: Path) -> None:
    import_captions(shared / "punks" / "caption_fix_v1", shared / "punks" / "images", "caption_fix_v1")
    run = make_run(caption_version="caption_fix_v1", output_name="punks")
    job = TrainingJob(run=run, config=CONFIG.replace("96,96", "576,576"))
    content = pack(job)
    files = opened(content)
    assert len(files) == 2 * Caption.objects.count() + 2
    assert all(name.isascii() for name in files)
    assert pack(job) == content
