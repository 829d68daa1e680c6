from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.forms.models import model_to_dict
from safetensors.numpy import save

from evaluation.management.commands.adopt_files import records
from evaluation.models import EpochResult
from runs import adoption_files
from runs.adoption import Decision, Match, Records, adopt, plan_adoption
from runs.models import AdoptedPicture, Checkpoint, TrainingRun
from tests.factories import make_png, make_run, make_user, write_lora

pytestmark = pytest.mark.django_db
EPOCHS = {"max_train_epochs": 10}


@pytest.fixture
def past(tmp_path: Path) -> Path:
    folder = tmp_path / "Past files (2025)"
    folder.mkdir()
    return folder


def lora_of(past: Path, name: str, seed: int = 1, dim: int = 4, **metadata: Any) -> Path:
    return write_lora(past / f"{name}.safetensors", seed=seed, dim=dim, **metadata)


def matched(past: Path, **how: Any) -> dict[str, Match]:
    return {match.path.name: match for match in plan_adoption(past, how.pop("records", Records()), **how).matches}


def told(match: Match) -> tuple[Decision, str | None, int | None]:
    return match.decision, match.run.run_name if match.run else None, match.epoch


def test_header_and_name_tell_run_and_epoch(past: Path):
    run = make_run(run_name="neon", output_name="neon_punk", **EPOCHS)
    lora_of(past, "neon_punk-000003", ss_output_name="neon_punk", ss_epoch="3")
    lora_of(past, "renamed by hand", seed=2, ss_output_name="neon_punk", ss_epoch="4")
    lora_of(past, "nobody-000001", seed=3, ss_output_name="nobody", ss_epoch="1")
    lora_of(past, "neon_punk-000005", seed=4, ss_output_name="neon_punk", ss_epoch="6")
    found = matched(past)
    assert told(found["neon_punk-000003.safetensors"]) == (Decision.ADOPT, "neon", 3)
    assert told(found["renamed by hand.safetensors"]) == (Decision.ADOPT, "neon", 4)
    assert "no run has the output name 'nobody'" in found["nobody-000001.safetensors"].reason
    assert "its name says epoch 5 and its header 6" in found["neon_punk-000005.safetensors"].reason
    assert not run.checkpoints.exists()


def test_kohyas_last_epoch_has_no_number_and_epochs_may_be_skipped(past: Path):
    make_run(run_name="neon", output_name="neon", **EPOCHS)
    lora_of(past, "neon-000002", seed=1)
    lora_of(past, "neon-000008", seed=2)
    lora_of(past, "neon", seed=3)
    assert [told(match) for match in matched(past).values()] == [
        (Decision.ADOPT, "neon", 2),
        (Decision.ADOPT, "neon", 8),
        (Decision.ADOPT, "neon", 10),
    ]


def test_a_copy_is_known_and_another_file_of_the_same_epoch_makes_both_ambiguous(past: Path):
    make_run(output_name="neon", **EPOCHS)
    first = lora_of(past, "neon-000001")
    (past / "neon-000001 (1).safetensors").write_bytes(first.read_bytes())
    lora_of(past, "neon-000002", seed=2)
    lora_of(past, "neon-000002 (1)", seed=3)
    found = matched(past)
    assert found["neon-000001.safetensors"].decision is Decision.ADOPT
    assert found["neon-000001 (1).safetensors"].reason == "a copy of neon-000001.safetensors"
    for name in ("neon-000002.safetensors", "neon-000002 (1).safetensors"):
        assert found[name].decision is Decision.AMBIGUOUS


def test_runs_that_share_an_output_name_are_told_apart_by_the_header(past: Path):
    make_run(run_name="small", output_name="punk", **EPOCHS)
    make_run(run_name="large", output_name="punk", network_dim=8, **EPOCHS)
    make_run(run_name="large, again", output_name="punk", network_dim=8, learning_rate=1e-4, **EPOCHS)
    make_run(run_name="no date", output_name="twin", **EPOCHS)
    make_run(run_name="no date, again", output_name="twin", **EPOCHS)
    lora_of(past, "punk-000001", dim=4)
    lora_of(past, "punk-000001 (1)", dim=8, ss_learning_rate="0.0005")
    lora_of(past, "twin-000001", seed=2)
    found = matched(past)
    assert told(found["punk-000001.safetensors"]) == (Decision.ADOPT, "small", 1)
    assert told(found["punk-000001 (1).safetensors"]) == (Decision.ADOPT, "large", 1)
    assert "name one with --run" in found["twin-000001.safetensors"].reason


def test_runs_of_one_name_and_one_config_are_told_apart_by_their_dates(past: Path):
    early = make_run(run_name="early", output_name="punk", **EPOCHS)
    TrainingRun.objects.filter(pk=early.pk).update(run_date="2025-11-09T20:00:00Z")
    make_run(run_name="late", output_name="punk", **EPOCHS)
    lora_of(past, "punk-000001", ss_training_started_at="1762722000.0")
    assert told(matched(past)["punk-000001.safetensors"]) == (Decision.ADOPT, "early", 1)


def test_a_dim_unlike_the_rows_is_flagged_and_not_adopted_unless_it_is_otherwise_certain(past: Path):
    run = make_run(run_name="neon", output_name="neon", **EPOCHS)
    path = lora_of(past, "neon-000007", dim=8)
    (match,) = matched(past).values()
    assert match.decision is Decision.AMBIGUOUS
    assert "network_dim 8 in the file, 4 in the row" in match.reason
    EpochResult.objects.create(training_run=run, epoch_number=7, checkpoint_path=f"/Users/owner/Downloads/{path.name}")
    (match,) = matched(past, records=records()).values()
    assert told(match) == (Decision.ADOPT, "neon", 7)
    assert "BUT network_dim 8 in the file" in match.reason
    (match,) = matched(past, only=run).values()
    assert match.decision is Decision.ADOPT


def test_files_that_cannot_be_checkpoints_are_refused_with_the_reason(past: Path):
    make_run(output_name="neon", base_model="stable-diffusion-v1-5/stable-diffusion-v1-5", model_type="SD15", **EPOCHS)
    lora_of(past, "neon-000001")
    (past / "neon-000002.safetensors").write_bytes(b"\x80\x04 a pickle")
    (past / "neon.ckpt").write_bytes(b"PK")
    outside = write_lora(past.parent / "elsewhere" / "neon-000003.safetensors", seed=3)
    (past / "neon-000003.safetensors").symlink_to(outside)
    found = matched(past)
    assert {match.decision for match in found.values()} == {Decision.REFUSED}
    assert "was made for" in found["neon-000001.safetensors"].reason
    assert "is a pickle" in found["neon.ckpt"].reason
    assert found["neon-000003.safetensors"].reason == "is a link out of the folder"


def test_a_past_checkpoint_of_stable_diffusion_is_adopted_without_its_base_being_here(past: Path):
    """The lab's own first run, whose base model still bears its old name."""
    run = make_run(
        run_name="SD15_PERFECT_Nov9",
        base_model="runwayml/stable-diffusion-v1-5",
        model_type="SD15",
        network_dim=32,
        network_alpha=16,
        output_name="bespoke_punks_SD15_PERFECT",
        **EPOCHS,
    )
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{name}.lora_down.weight": np.ones((32, 768), np.float16),
        f"{name}.lora_up.weight": np.ones((320, 32), np.float16),
        f"{name}.alpha": np.asarray(16, np.float16),
    }
    path = past / "bespoke_punks_SD15_PERFECT-000007 (1).safetensors"
    path.write_bytes(save(tensors, metadata={"ss_base_model_version": "sd_v1", "ss_epoch": "7"}))
    plan = plan_adoption(past, Records())
    assert [told(match) for match in plan.to_adopt] == [(Decision.ADOPT, "SD15_PERFECT_Nov9", 7)]
    assert adopt(plan) == []
    assert run.checkpoints.get().header["dim"] == 32


def test_a_huge_folder_and_no_folder_are_refused(past: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        (past / f"{number}.txt").touch()
    monkeypatch.setattr(adoption_files, "MOST_FILES", 2)
    with pytest.raises(adoption_files.FolderError, match="more than 2 files"):
        matched(past)
    with pytest.raises(CommandError, match="is no folder"):
        call_command("adopt_files", str(past / "0.txt"))


def test_pictures_are_told_by_records_folders_and_names(past: Path):
    run = make_run(run_name="neon", output_name="neon", **EPOCHS)
    EpochResult.objects.create(
        training_run=run,
        epoch_number=7,
        test_output_dir="/Users/owner/Downloads/test_outputs_epoch7",
        test_image_paths=["/Users/owner/elsewhere/brown_eyes.png"],
    )
    (past / "test_outputs_epoch7").mkdir()
    pictures = {
        "brown_eyes (1).png": 7,
        "test_outputs_epoch7/01_green.png": 7,
        "neon-000003_test_512.png": 3,
        "neon_test_24.png": 10,
    }
    for seed, name in enumerate(pictures):
        (past / name).write_bytes(make_png(seed, 96))
    (past / "holiday.png").write_bytes(make_png(9, 96))
    (past / "neon-000004.png").write_bytes(b"no picture")
    plan = plan_adoption(past, records())
    epochs = {str(match.path.relative_to(past)): match.epoch for match in plan.to_adopt}
    assert epochs == pictures
    assert plan.unrelated == 1
    (refused,) = [match for match in plan.matches if match.decision is Decision.REFUSED]
    assert refused.reason.startswith("cannot be read as a picture")


def test_a_picture_named_after_a_shared_checkpoint_name_stays_ambiguous(past: Path):
    make_run(run_name="small", output_name="punk", **EPOCHS)
    make_run(run_name="large", output_name="punk", network_dim=8, **EPOCHS)
    (past / "punk-000001_test_512.png").write_bytes(make_png())
    assert matched(past)["punk-000001_test_512.png"].decision is Decision.AMBIGUOUS
    lora_of(past, "punk-000001", dim=8)
    assert told(matched(past)["punk-000001_test_512.png"]) == (Decision.ADOPT, "large", 1)


def test_adopting_registers_files_once_and_changes_no_row_of_the_lab(past: Path):
    run = make_run(output_name="neon", network_dim=None, **EPOCHS)
    row = EpochResult.objects.create(training_run=run, epoch_number=3, verdict="good", observations="Clean.")
    before = model_to_dict(TrainingRun.objects.get()), model_to_dict(EpochResult.objects.get())
    original = lora_of(past, "neon-000003")
    (past / "neon-000003_test_512.png").write_bytes(make_png())
    for _ in range(2):
        assert adopt(plan_adoption(past, records())) == []
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.run, checkpoint.epoch, checkpoint.source) == (run, row.epoch_number, "adopted")
    assert checkpoint.path
    assert checkpoint.path.read_bytes() == original.read_bytes()
    assert AdoptedPicture.objects.get().path.read_bytes() == make_png()
    assert (model_to_dict(TrainingRun.objects.get()), model_to_dict(EpochResult.objects.get())) == before
    assert {match.decision for match in matched(past).values()} == {Decision.KNOWN}


def test_the_command_shows_the_plan_and_registers_only_on_confirmation(past: Path, capsys):
    make_run(run_name="neon", output_name="neon", **EPOCHS)
    lora_of(past, "neon-000003")
    call_command("adopt_files", str(past))
    said = capsys.readouterr().out
    assert "adopt  neon-000003.safetensors  neon epoch 3" in said
    assert "Nothing was changed." in said
    assert not Checkpoint.objects.exists()
    with pytest.raises(CommandError, match="may not do this"):
        call_command("adopt_files", str(past), apply=True, by=make_user("reviewer").username)
    call_command("adopt_files", str(past), apply=True)
    assert "1 files adopted, 0 could not be." in capsys.readouterr().out
    assert Checkpoint.objects.get().epoch == 3


def test_a_file_that_changes_between_plan_and_registration_is_not_adopted(past: Path):
    make_run(output_name="neon", **EPOCHS)
    path = lora_of(past, "neon-000003")
    plan = plan_adoption(past, Records())
    os.truncate(path, path.stat().st_size - 10)
    (problem,) = adopt(plan)
    assert "neon-000003.safetensors" in problem
    assert not Checkpoint.objects.exists()
