from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from runs.models import CaptionVersion, TrainingRun
from runs.training import ActError, create_run
from tests.factories import CONFIG, make_caption_version, make_run, make_user, write_lora

pytestmark = pytest.mark.django_db


def test_a_run_has_every_column_of_its_config():
    version = make_caption_version("neon_v1")
    run = create_run("Neon, first try", captions=version, config_text=CONFIG, repeats=10, by=make_user("operator"))
    run.refresh_from_db()
    assert (run.status, run.overall_verdict, run.base_model, run.model_type) == (
        "in_progress",
        "pending",
        "miniature",
        "other",
    )
    assert (run.caption_version, run.num_images, run.caption_format) == ("neon_v1", 4, "detailed_with_hex")
    assert (run.network_dim, run.network_alpha, run.unet_lr, run.text_encoder_lr) == (4, 2, 0.002, 0.0005)
    assert (run.max_train_epochs, run.resolution, run.output_name) == (2, "96x96", "Neon__first_try")
    assert run.all_parameters["seed"] == 42
    assert run.all_parameters["repeats"] == 10
    assert run.notes.startswith("Created by operator")
    assert not run.jobs.exists()


def test_a_caption_version_remembers_each_run_once():
    version = make_caption_version()
    create_run("one", captions=version, config_text=CONFIG)
    create_run("two", captions=version, config_text=CONFIG)
    version.refresh_from_db()
    assert version.used_in_training_runs == ["one", "two"]


def test_everything_that_stands_in_the_way_is_said_at_once():
    make_run(run_name="taken")
    version = make_caption_version(caption="portrait of bespoke punk lady, brown hair, smiling")
    with pytest.raises(ActError) as refusal:
        create_run("taken", captions=version, config_text=CONFIG + "batch_size = 4\n", repeats=0)
    said = str(refusal.value)
    assert "there is a run called 'taken' already" in said
    assert "write `train_batch_size`" in said
    assert "no_lips" in said
    assert "repeats is 0" in said
    assert TrainingRun.objects.count() == 1
    assert CaptionVersion.objects.get().used_in_training_runs is None


def test_captions_that_only_warn_do_not_stop_a_run():
    version = make_caption_version(caption="portrait of bespoke punk lady, red lips, neutral expression,, necklance")
    assert create_run("one", captions=version, config_text=CONFIG).pk


def test_a_syntax_error_is_named_with_its_line():
    with pytest.raises(ActError, match=r"line 2: .*small letters"):
        create_run("one", captions=make_caption_version(), config_text="seed = 1\ncache_latents = True\n")


def test_weights_to_start_from_are_found_and_those_of_another_base_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = write_lora(tmp_path / "punk.safetensors")
    monkeypatch.chdir(tmp_path)
    config = CONFIG + f'network_weights = "{weights.name}"\n'
    run = create_run("one", captions=make_caption_version(), config_text=config)
    assert run.all_parameters["network_weights"] == str(weights)
    with pytest.raises(ActError, match=r"punk\.safetensors was made for"):
        create_run("two", captions=make_caption_version(), config_text=config, base="sd15")


def test_the_old_name_of_stable_diffusion_means_the_new_one():
    run = create_run("one", captions=make_caption_version(), config_text=CONFIG, base="runwayml/stable-diffusion-v1-5")
    assert (run.base_model, run.model_type) == ("stable-diffusion-v1-5/stable-diffusion-v1-5", "SD15")


def test_the_command_creates_a_run_for_an_operator_and_for_no_viewer(tmp_path: Path, capsys):
    config = tmp_path / "training_config.toml"
    config.write_text(CONFIG)
    asked = {"captions": make_caption_version("neon_v1").version_name, "config": str(config)}
    with pytest.raises(CommandError, match="may not do this"):
        call_command("create_run", "neon", by=make_user("viewer").username, **asked)
    call_command("create_run", "neon", by=make_user("operator").username, **asked)
    assert "Run neon was created: 4 pictures of neon_v1 on miniature." in capsys.readouterr().out


def test_the_command_names_captions_and_files_that_are_not_there(tmp_path: Path):
    config = tmp_path / "training_config.toml"
    with pytest.raises(CommandError, match=r"training_config\.toml"):
        call_command("create_run", "neon", captions="lost_v1", config=str(config))
    config.write_text(CONFIG)
    with pytest.raises(CommandError, match="lost_v1"):
        call_command("create_run", "neon", captions="lost_v1", config=str(config))


def test_a_base_that_is_not_trained_here_is_refused_before_a_run_stands_in_the_list():
    with pytest.raises(ActError, match="not rendered or trained here"):
        create_run(
            "xl", captions=make_caption_version(), config_text=CONFIG, base="stabilityai/stable-diffusion-xl-base-1.0"
        )
    assert not TrainingRun.objects.exists()
