"""The pod's real program as real processes on a folder, with a stand-in in kohya's place."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time

import pytest

from runs.bases import base_for
from runs.checkpoints import examine
from runs.pod.files import is_whole
from runs.pod_program import program
from runs.pod_reports import read_events, read_result, read_status
from tests.runs.pods import Volume


def names(volume: Volume) -> list[str]:
    return sorted(path.name for path in (volume.job / "ckpt").glob("*"))


THREE = ["punks-000001.safetensors", "punks-000002.safetensors", "punks.safetensors"]


def test_the_program_is_the_same_bytes_each_time() -> None:
    first = program()
    program.cache_clear()
    assert program() == first


def test_a_job_is_trained_told_of_and_the_machine_given_back(volume, tmp_path) -> None:
    there = volume()
    pod = there.start(tmp_path / "c1")
    result = read_result(there.result())
    assert (result.state, result.pod, result.step, result.total_steps) == ("finished", "pod1", 30, 30)
    assert [(file.name, file.epoch) for file in result.files] == list(zip(THREE, (1, 2, 3), strict=True))
    assert names(there) == THREE
    for path in (there.job / "ckpt").iterdir():
        examine(path, base_for("miniature"))
    there.until(lambda: there.deletions)
    assert there.deletions == [("/pods/pod1", "Bearer pods-own")]
    time.sleep(0.3)
    assert pod.poll() is None  # it never returns
    status = read_status(there.status())
    assert (status.phase, status.files) == ("ended", result.files)
    losses, problems, _ = read_events((there.job / "a1" / "events.jsonl").read_bytes())
    assert (losses[0][:2], losses[-1][:2], problems) == ((1, 1), (30, 3), ())
    kinds = [event["phase"] for event in there.events() if event["kind"] == "phase"]
    assert kinds == ["setup", "caching", "training", "finishing", "ended"]
    assert [event["n"] for event in there.events()] == list(range(1, len(there.events()) + 1))


@pytest.mark.parametrize("moment", ["setup", "first step", "first epoch", "second epoch"])
def test_a_machine_that_is_lost_is_gone_on_from_by_the_next(volume, tmp_path, moment) -> None:
    there = volume(step_seconds=0.03)
    pod = there.start(tmp_path / "c1")
    ask = {
        "setup": lambda: there.status().get("phase") == "setup",
        "first step": lambda: there.status().get("step"),
        "first epoch": lambda: len(names(there)) >= 1,
        "second epoch": lambda: len(names(there)) >= 2,
    }
    there.until(ask[moment])
    there.kill(pod)
    before = {path.name: path.read_bytes() for path in (there.job / "ckpt").glob("*.safetensors")}
    there.start(tmp_path / "c2", attempt=2)
    assert there.result()["state"] == "finished"
    assert names(there) == THREE
    assert all((there.job / "ckpt" / name).read_bytes() == content for name, content in before.items())


def test_a_container_that_is_started_again_goes_on_with_its_status(volume, tmp_path) -> None:
    there = volume(step_seconds=0.03)
    pod = there.start(tmp_path / "c1")
    there.until(lambda: names(there))
    there.kill(pod)
    seq = there.status()["seq"]
    there.start(tmp_path / "c1")
    assert there.result()["state"] == "finished"
    assert there.status()["seq"] > seq
    assert [event["start"] for event in there.events() if event["kind"] == "start"] == [1, 2]


def test_a_container_that_begins_too_often_is_given_up(volume, tmp_path) -> None:
    there = volume()
    (there.job / "a1").mkdir()
    (there.job / "a1" / "starts").write_text('{"n": 3}')
    there.start(tmp_path / "c1")
    there.until(lambda: (there.job / "a1" / "result.json").exists())
    told = json.loads((there.job / "a1" / "result.json").read_text())
    assert (told["state"], told["reason"]) == ("interrupted", "Its container began 4 times.")
    assert not (there.job / "result.json").exists()


def test_a_job_that_is_done_is_not_done_again(volume, tmp_path) -> None:
    there = volume()
    pod = there.start(tmp_path / "c1")
    there.result()
    there.until(lambda: there.deletions)
    there.kill(pod)
    before = (there.job / "result.json").read_bytes()
    there.start(tmp_path / "c1")
    there.until(lambda: len(there.deletions) == 2)
    assert (there.job / "result.json").read_bytes() == before


def test_the_sites_word_ends_it_with_what_there_is(volume, tmp_path) -> None:
    there = volume(step_seconds=0.05)
    there.start(tmp_path / "c1")
    there.until(lambda: names(there))
    (there.job / "control.json").write_text('{"cancel": true}')
    result = there.result()
    assert (result["state"], result["reason"]) == ("cancelled", "The site asked for it.")
    assert [file["name"] for file in result["files"]] == names(there)


def test_the_deadline_ends_it(volume, tmp_path) -> None:
    there = volume(step_seconds=1.0)
    there.start(tmp_path / "c1", seconds=62)
    there.until(lambda: there.status().get("step"))
    (there.job / "control.json").write_text(json.dumps({"deadline": time.time() - 1}))
    there.until(lambda: (there.job / "a1" / "result.json").exists())
    assert "is over" in json.loads((there.job / "a1" / "result.json").read_text())["reason"]


def test_a_trainer_that_dies_is_started_again_from_its_state(volume, tmp_path) -> None:
    there = volume(die_at=[15, 25])
    there.start(tmp_path / "c1")
    result = there.result()
    assert (result["state"], result["step"], names(there)) == ("finished", 30, THREE)
    assert [event["message"][:29] for event in there.events() if event["kind"] == "problem"] == [
        "The trainer ended with 1 (Tra"
    ] * 2


def test_a_trainer_that_dies_each_time_is_a_failure(volume, tmp_path) -> None:
    there = volume(die_at=[5, 5, 5])
    there.start(tmp_path / "c1")
    result = there.result()
    assert result["state"] == "failed"
    assert result["reason"] == "The trainer ended 3 times before the last epoch: Traceback: it died"


def test_too_little_memory_says_what_to_do(volume, tmp_path) -> None:
    there = volume(die_at=[5], say="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    there.start(tmp_path / "c1")
    assert "lower train_batch_size" in there.result()["reason"]


def test_a_file_torn_in_writing_is_made_again(volume, tmp_path) -> None:
    there = volume(torn=0, torn_epoch=2)
    there.start(tmp_path / "c1")
    there.result()
    assert names(there) == THREE
    assert all(is_whole(path) for path in (there.job / "ckpt").iterdir())


def test_a_trainer_without_progress_is_given_up(volume, tmp_path) -> None:
    there = volume(stall_at=12)
    there.spec["stall_seconds"] = 1
    there.write_spec()
    there.start(tmp_path / "c1")
    there.until(lambda: (there.job / "a1" / "result.json").exists())
    told = json.loads((there.job / "a1" / "result.json").read_text())
    assert (told["state"], "no step" in told["reason"]) == ("interrupted", True)
    assert [file["epoch"] for file in told["files"]] == [1]


def test_a_volume_without_room_is_said_before_anything_is_begun(volume, tmp_path) -> None:
    there = volume()
    (there.folder / ".quota").write_text("500000")
    there.spec["need_bytes"] = 10**9
    there.write_spec()
    there.start(tmp_path / "c1")
    result = there.result()
    assert (result["state"], "enlarge it" in result["reason"]) == ("failed", True)
    assert not (there.folder / "kohya").exists()


@pytest.mark.parametrize(("what", "state"), [("zip", "interrupted"), ("file", "failed"), ("spec", "interrupted")])
def test_what_is_not_what_was_sent_is_not_trained_on(volume, tmp_path, what, state) -> None:
    there = volume()
    package = there.folder / there.spec["package"]["key"]
    if what == "zip":
        package.write_bytes(package.read_bytes()[:-1])
    elif what == "file":
        spoilt = there.package(spoil="train_data/1_punk/a.txt")
        package.write_bytes(spoilt)
        there.spec["package"]["sha256"] = hashlib.sha256(spoilt).hexdigest()
        there.write_spec()
    there.start(tmp_path / "c1", spec_sha256="0" * 64 if what == "spec" else "")
    where = there.job / "result.json" if state == "failed" else there.job / "a1" / "result.json"
    there.until(where.exists)
    assert json.loads(where.read_text())["state"] == state


def test_kohya_at_another_commit_is_not_used(volume, tmp_path) -> None:
    there = volume()
    home = there.folder / "kohya" / str(there.spec["trainer"]["commit"])
    home.mkdir(parents=True)
    (home / "train_network.py").write_text("raise SystemExit(9)")
    (home / ".punklab-whole").write_text(home.name)
    there.start(tmp_path / "c1")
    assert there.result()["state"] == "finished"


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        ("echo NVIDIA H100", "finished", ""),
        ("echo No devices were found >&2; exit 6", "interrupted", "nvidia-smi shows no GPU: No devices were found."),
        ("exit 0", "interrupted", "nvidia-smi shows no GPU: it names none."),
    ],
)
def test_a_machine_whose_gpu_does_not_answer_is_not_trained_on(
    volume, tmp_path, monkeypatch, script, state, said
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    there = volume()
    there.start(tmp_path / "c1")
    where = there.job / "result.json" if state == "finished" else there.job / "a1" / "result.json"
    there.until(where.exists)
    told = read_result(json.loads(where.read_text()))
    assert told.state == state
    if said:
        assert told.reason == said
        assert not (there.folder / "kohya").exists()
    else:
        assert told.gpu == "NVIDIA H100"


def test_the_curve_has_each_epochs_last_loss_and_is_short(volume, tmp_path) -> None:
    there = volume(steps_per_epoch=302, step_seconds=0.001)
    there.start(tmp_path / "c1")
    there.result()
    losses, _, _ = read_events((there.job / "a1" / "events.jsonl").read_bytes())
    assert {(302, 1), (604, 2), (906, 3)} <= {(step, epoch) for step, epoch, _ in losses}
    assert len({step for step, _, _ in losses}) == len(losses) <= 500


def test_a_start_that_finds_every_epoch_made_says_how_far_it_is(volume, tmp_path) -> None:
    there = volume()
    pod = there.start(tmp_path / "c1")
    there.result()
    there.kill(pod)
    (there.job / "result.json").unlink()
    there.start(tmp_path / "c2", attempt=2)
    result = read_result(there.result())
    assert (result.state, result.attempt, result.step, result.total_steps) == ("finished", 2, 30, 30)


def test_a_wait_for_another_that_sets_kohya_up_ends_with_the_job(volume, tmp_path) -> None:
    there = volume()
    commit = there.spec["trainer"]["commit"]
    (there.folder / "kohya").mkdir()
    with (there.folder / "kohya" / f".{commit}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there.start(tmp_path / "c1")
        there.until(lambda: there.status().get("phase") == "setup")
        (there.job / "control.json").write_text('{"cancel": true}')
        assert there.result()["state"] == "cancelled"
