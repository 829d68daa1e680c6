"""What a person may get wrong in the settings for RunPod is named before anything is rented, and no secret is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from punklab.runpod_checks import runpod_settings

ROOT = Path(__file__).resolve().parents[1]
RIGHT: dict[str, Any] = {
    "RUNPOD_API_KEY": "rpa_SECRETSECRET",
    "RUNPOD_S3_ACCESS_KEY": "user_SECRETSECRET",
    "RUNPOD_S3_SECRET_KEY": "rps_SECRETSECRET",
    "RUNPOD_VOLUMES": [{"id": "v1", "data_center": "EU-RO-1"}, {"id": "v2", "data_center": "US-KS-2"}],
}


def found(settings: Any, **values: Any) -> list[str]:
    for name, value in (RIGHT | values).items():
        setattr(settings, name, value)
    return [f"{message.id} {message.msg} {message.hint}" for message in runpod_settings()]


def test_right_settings_and_the_defaults_have_nothing_against_them(settings) -> None:
    assert [message.msg for message in runpod_settings()] == []
    assert found(settings) == []
    assert found(settings, RUNPOD_API_URL="http://127.0.0.1:1/v2", RUNPOD_S3_ENDPOINT="http://127.0.0.1:2/") == []
    assert found(settings, RUNPOD_IMAGE="host:5000/lab/worker@sha256:" + "0" * 64) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RUNPOD_API_URL", "http://api.runpod.io/v2", "E006 RUNPOD_API_URL 'http://api.runpod.io/v2' is no https"),
        ("RUNPOD_API_URL", "https://rest.runpod.io/v1", "E006 .* does not end in /v2"),
        ("RUNPOD_API_URL", "https://[::1/v2", "E006"),
        ("RUNPOD_S3_ENDPOINT", "https://s3api-{data}.runpod.io/", "E007 .* with {dc}"),
        ("RUNPOD_S3_ENDPOINT", "https://s3api-eu-ro-1.runpod.io/", "E007"),
        ("RUNPOD_S3_ENDPOINT", "http://s3api-{dc}.runpod.io/", "E007"),
        ("RUNPOD_S3_ENDPOINT", "https://s3api-{dc", "E007"),
        ("RUNPOD_API_KEY", "rpa_SECRETSECRET\n", "E008 RUNPOD_API_KEY has a sign in it that no key has"),
        ("RUNPOD_API_KEY", "rps_SECRETSECRET", "E008 RUNPOD_API_KEY holds an S3 key. .* under Settings, API Keys"),
        ("RUNPOD_S3_ACCESS_KEY", "rps_SECRETSECRET", "E008 .* the wrong way round"),
        ("RUNPOD_S3_SECRET_KEY", "user_SECRETSECRET", "E008 .* the wrong way round"),
        ("RUNPOD_S3_SECRET_KEY", "", "E008 RUNPOD_S3_SECRET_KEY is not set, and its other half is"),
        ("RUNPOD_S3_ACCESS_KEY", "", "E008 RUNPOD_S3_ACCESS_KEY is not set, and its other half is"),
        ("RUNPOD_VOLUMES", {"id": "v1"}, "E009 .* is no list of volumes. It looks like"),
        ("RUNPOD_VOLUMES", ["v1"], "E009"),
        ("RUNPOD_VOLUMES", [{"id": "v1", "dc": "EU-RO-1"}], "E009"),
        ("RUNPOD_VOLUMES", [{"id": " ", "data_center": "EU-RO-1"}], "E009"),
        ("RUNPOD_VOLUMES", [RIGHT["RUNPOD_VOLUMES"][0]] * 2, "E009 RUNPOD_VOLUMES names 'v1' twice"),
        ("RUNPOD_VOLUMES", [], "W001 RUNPOD_API_KEY is set and RUNPOD_VOLUMES is not"),
        ("RUNPOD_GPUS", [], "E010"),
        ("RUNPOD_GPUS", ["A", ""], "E010 RUNPOD_GPUS 'A,'"),
        ("RUNPOD_IMAGE", "runpod/pytorch", "E011 RUNPOD_IMAGE 'runpod/pytorch' does not say which"),
        ("RUNPOD_IMAGE", "runpod/pytorch:latest", "E011"),
        ("RUNPOD_IMAGE", "host:5000/pytorch", "E011"),
        ("RUNPOD_DISK_GB", 0, "E012 RUNPOD_DISK_GB is 0"),
        ("RUNPOD_MAX_HOURS", -1.0, "E012 RUNPOD_MAX_HOURS is -1.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_mend(settings, name, value, said) -> None:
    messages = found(settings, **{name: value})
    assert any(re.search(said, message) for message in messages), messages
    assert len(messages) <= 2
    assert "SECRETSECRET" not in str(messages)


def test_both_halves_of_the_s3_key_are_missed_beside_a_key(settings) -> None:
    messages = found(settings, RUNPOD_S3_ACCESS_KEY="", RUNPOD_S3_SECRET_KEY="")
    assert ["W001" in message and "S3 API Keys" in message for message in messages] == [True]
    assert found(settings, RUNPOD_API_KEY="", RUNPOD_S3_ACCESS_KEY="", RUNPOD_S3_SECRET_KEY="", RUNPOD_VOLUMES=[]) == []


def shown(**env: str) -> subprocess.CompletedProcess[str]:
    show = "from punklab import settings as s; print(s.RUNPOD_VOLUMES, s.RUNPOD_GPUS)"
    return subprocess.run(
        [sys.executable, "-c", show], cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False
    )


def test_the_environment_names_volumes_as_json_and_gpus_by_commas() -> None:
    said = shown(RUNPOD_VOLUMES='[{"id": "v1", "data_center": "EU-RO-1"}]', RUNPOD_GPUS="A B, C").stdout
    assert said == "[{'id': 'v1', 'data_center': 'EU-RO-1'}] ['A B', 'C']\n"
    assert shown(RUNPOD_VOLUMES="").stdout.startswith("[] ")
    assert "RUNPOD_VOLUMES is no JSON: it lists volumes, [{" in shown(RUNPOD_VOLUMES="agv6w2qcg7").stderr
