"""What may happen to a pod: torn files, a full volume, a broken GPU, a provider that does not answer."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from runs.pod.files import is_whole, used_bytes
from runs.pod.leaving import Machine
from runs.pod.states import States
from tests.runs.pods import Volume
from tests.simulators.kohya import make_repository
from tests.simulators.kohya.shapes import miniature_lora

POD = Path(__file__).parents[2] / "runs" / "pod"


def begun(there: Volume, attempt: int = 1) -> list[int]:
    """The epochs that the trainer said it began."""
    lines = (there.job / f"a{attempt}" / "trainer.log").read_text().splitlines()
    return [int(line.split()[1].split("/")[0]) for line in lines if line.startswith("epoch ")]


def interrupted(there: Volume, attempt: int = 1) -> dict:
    path = there.job / f"a{attempt}" / "result.json"
    return json.loads(there.until(lambda: path.exists() and path.read_text()))


def test_a_second_resumption_goes_on_where_the_first_was_lost(volume, tmp_path) -> None:
    there = volume(epochs=6, die_at=[25, 45])
    there.start(tmp_path / "c1")
    assert there.result()["step"] == 60
    assert begun(there) == [1, 2, 3, 3, 4, 5, 5, 6]


def test_a_state_that_lost_bytes_is_not_gone_on_from(volume, tmp_path) -> None:
    there = volume(epochs=4, step_seconds=0.03)
    pod = there.start(tmp_path / "c1")
    state = there.job / "state" / "punks-000002-state"
    there.until(lambda: (state / ".whole.json").exists())
    there.kill(pod)
    (state / "optimizer.bin").write_bytes(b"")
    there.start(tmp_path / "c2", attempt=2)
    assert there.result()["state"] == "finished"
    assert begun(there, attempt=2)[0] == 2


def test_an_epoch_that_lost_bytes_is_made_again(volume, tmp_path) -> None:
    there = volume(epochs=4, step_seconds=0.03)
    pod = there.start(tmp_path / "c1")
    second = there.job / "ckpt" / "punks-000002.safetensors"
    marked = there.job / "state" / "punks-000002-state" / ".whole.json"
    there.until(lambda: marked.exists() and second.exists())
    there.kill(pod)
    second.write_bytes(b"")
    there.start(tmp_path / "c2", attempt=2)
    assert [file["epoch"] for file in there.result()["files"]] == [1, 2, 3, 4]
    assert is_whole(second)
    assert begun(there, attempt=2)[0] == 2


def test_two_states_are_kept(volume, tmp_path) -> None:
    there = volume(epochs=5)
    there.start(tmp_path / "c1")
    there.result()
    kept = sorted(path.name for path in (there.job / "state").iterdir())
    assert kept == ["punks-000003-state", "punks-000004-state"]


@pytest.mark.parametrize(("states", "state"), [(2.5, "finished"), (1.5, "failed")])
def test_a_full_volume_is_made_room_on_once(volume, tmp_path, states, state) -> None:
    there = volume(epochs=4, state_bytes=1_000_000, step_seconds=0.03)
    there.start(tmp_path / "c1")
    first = there.job / "ckpt" / "punks-000001.safetensors"
    there.until(first.exists)
    used = used_bytes(there.folder) - used_bytes(there.job / "ckpt") - used_bytes(there.job / "state")
    (there.folder / ".quota").write_text(str(used + 4 * first.stat().st_size + int(states * 1_000_000)))
    result = there.result()
    assert (result["state"], "The volume is full" in result["reason"]) == (state, state == "failed")
    problems = [event["message"] for event in there.events() if event["kind"] == "problem"]
    assert ["Disk quota exceeded" in message for message in problems] == [True] * (state == "finished")


def test_a_gpu_that_cannot_be_used_is_the_machines_fault(volume, tmp_path) -> None:
    there = volume(die_at=[5], say="RuntimeError: No CUDA GPUs are available")
    there.start(tmp_path / "c1")
    assert interrupted(there)["reason"].startswith("The machine's GPU cannot be used: RuntimeError")


def test_what_could_not_be_downloaded_is_no_failure_of_the_job(volume, tmp_path) -> None:
    there = volume(die_at=[0, 0, 0], say="OSError: We couldn't connect to 'https://huggingface.co'")
    there.start(tmp_path / "c1")
    assert "We couldn't connect" in interrupted(there)["reason"]


def test_the_result_is_the_last_word(volume, tmp_path) -> None:
    there = volume()
    there.start(tmp_path / "c1")
    there.result()
    there.until(lambda: there.deletions)
    result = (there.job / "result.json").stat().st_mtime_ns
    time.sleep(3.5)  # longer than between two writings
    later = [path.name for path in (there.job / "a1").iterdir() if path.stat().st_mtime_ns > result]
    assert later == []


def test_the_machines_key_is_not_given_to_the_trainer(volume, tmp_path) -> None:
    there = volume(step_seconds=0.1)
    pod = there.start(tmp_path / "c1")
    there.until(lambda: there.status().get("step"))
    (trainer,) = psutil.Process(pod.pid).children()
    assert "pods-own" not in trainer.environ().values()
    assert trainer.environ()["HF_HOME"] == str(there.folder / "models")


def test_an_environment_that_is_none_of_ours_still_gives_the_machine_back(volume, tmp_path) -> None:
    there = volume()
    pod = there.start(tmp_path / "c1", LORA_ATTEMPT="first")
    there.until(lambda: there.deletions)
    assert pod.poll() is None


def test_a_container_that_is_stopped_takes_its_trainer_along(volume, tmp_path) -> None:
    there = volume(step_seconds=0.1)
    pod = there.start(tmp_path / "c1")
    there.until(lambda: there.status().get("step"))
    (trainer,) = psutil.Process(pod.pid).children()
    pod.terminate()
    assert pod.wait(10) == 143
    assert not trainer.is_running()
    assert not (there.job / "result.json").exists()


def test_a_package_that_is_not_what_was_sent_makes_room_for_it(volume, tmp_path) -> None:
    there = volume()
    package = there.folder / there.spec["package"]["key"]
    package.write_bytes(package.read_bytes()[:-1] + b"!")
    there.start(tmp_path / "c1")
    assert "not the one that was sent" in interrupted(there)["reason"]
    assert not package.exists()


def test_kohyas_packages_are_mended_and_found_where_it_is_moved(tmp_path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, version in (("bitsandbytes", "0.45.5"), ("numpy", "1.26.4"), ("tiny", "1.0")):
        with zipfile.ZipFile(wheels / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            info = f"{name}-{version}.dist-info"
            wheel.writestr(f"{name}.py", f"version = '{version}'")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    folder = tmp_path / "sd-scripts"
    needs = "# what it needs\nbitsandbytes==0.44.0\ntiny==1.0\n-e .\n"
    there = Volume(tmp_path / "volume", folder, make_repository(folder, *miniature_lora(), requirements=needs))
    try:
        there.start(tmp_path / "c1", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
        assert there.result(60)["state"] == "finished"
    finally:
        there.close()
    (home,) = (path for path in (there.folder / "kohya").iterdir() if path.is_dir())
    ask = "import bitsandbytes, numpy, tiny; print(bitsandbytes.version, numpy.version, tiny.version)"
    said = subprocess.run([home / ".venv/bin/python", "-c", ask], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["0.45.5", "1.26.4", "1.0"]


@pytest.mark.parametrize("url", ["http://api.example.org/v2", "ftp://127.0.0.1", ""])
def test_the_key_goes_over_https_alone(monkeypatch, url) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("asked"))
    assert not Machine(api_url=url, pod="pod1", key="secret").give_back()


def test_a_provider_that_does_not_answer_is_asked_until_it_does(monkeypatch) -> None:
    answers, pauses = [OSError("down"), OSError("down"), None], []

    def ask(request, timeout):
        if error := answers.pop(0):
            raise error
        return open("/dev/null", "rb")

    def pause(seconds):
        pauses.append(seconds)
        if not answers:
            raise KeyboardInterrupt

    monkeypatch.setattr("urllib.request.urlopen", ask)
    monkeypatch.setattr("time.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        Machine(api_url="https://api.example.org/v2", pod="pod1", key="secret").leave()
    assert pauses == [10.0, 20.0, 300.0]


def test_a_program_that_hangs_past_its_deadline_is_not_paid_for(volume, tmp_path, monkeypatch) -> None:
    there = volume()
    host, port = there.gate.server_address[:2]
    monkeypatch.setattr("runs.pod.leaving.GRACE", 0.1)
    Machine(api_url=f"http://{host}:{port}", pod="pod9", key="own").leave_after(time.time())
    assert there.until(lambda: there.deletions) == [("/pods/pod9", "Bearer own")]


def test_states_that_were_being_written_are_not_whole(tmp_path) -> None:
    states = States(tmp_path)
    for epoch in (1, 2):
        (tmp_path / f"punks-{epoch:06d}-state").mkdir()
        (tmp_path / f"punks-{epoch:06d}-state" / "optimizer.bin").write_bytes(b"x" * epoch)
    states.mark(begun=2)
    assert states.newest(below=9) == tmp_path / "punks-000001-state"
    assert not (tmp_path / "punks-000002-state").exists()  # it would be written over while it counted


@pytest.mark.parametrize("path", sorted(POD.glob("*.py")), ids=lambda path: path.stem)
def test_the_program_needs_an_old_python_alone(path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if name.split(".")[:2] != ["runs", "pod"]} == set()
    assert "tomllib" not in names  # from 3.11
