"""House rules that no linter knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

ROOT = Path(__file__).resolve().parents[1]
APPS = ("runs", "evaluation", "deployment")
COMMANDS = sorted(
    path.stem
    for app in APPS
    for path in (ROOT / app / "management" / "commands").glob("*.py")
    if path.stem != "__init__"
)


def test_the_web_process_answers_without_torch_in_two_hundred_megabytes():
    script = """
import psutil, sys
from punklab.wsgi import application
from django.test import Client
for url in ("/console/login/", "/"):
    assert Client(HTTP_HOST="localhost").get(url).status_code < 500, url
heavy = {"torch", "diffusers", "transformers", "peft", "accelerate"} & set(sys.modules)
assert not heavy, heavy
megabytes = psutil.Process().memory_info().rss / 2**20  # ru_maxrss would count pytest's own, from before the exec
assert megabytes < 200, f"{megabytes:.0f} MB"
"""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "punklab.settings"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_test(command):
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "test_architecture.py"]
    assert any(re.search(rf'["\']{command}["\']', text) for text in texts)


def test_the_example_environment_names_every_variable_that_is_read_and_no_other():
    sources = [ROOT / "punklab" / "settings.py"]
    read = set(re.findall(r"env(?:\.\w+)?\(\s*\"([A-Z_]+)\"", "".join(path.read_text() for path in sources)))
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == read


def test_no_row_of_record_is_deleted_with_another():
    ours = [model for app in APPS for model in apps.get_app_config(app).get_models()]
    cascading = [
        f"{model.__name__}.{field.name}"
        for model in ours
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and field.remote_field.on_delete is models.CASCADE
    ]
    assert cascading == []


def test_our_own_tables_say_that_they_are_ours():
    lab = {"caption_versions", "training_runs", "epoch_results", "test_prompts", "prompt_test_results"}
    names = {
        model._meta.db_table for app in APPS for model in apps.get_app_config(app).get_models() if not model._meta.proxy
    }
    assert {name for name in names if not name.startswith("punklab_")} == lab


def test_mirrored_columns_have_no_choices():
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            if not model._meta.db_table.startswith("punklab_"):
                assert not [field.name for field in model._meta.fields if field.choices]


def test_statuses_are_compared_as_members_not_as_strings():
    words = "queued|rendering|rendered|failed|errored"
    literal = re.compile(rf"status(?:=|\s*==\s*)[\"'](?:{words})[\"']")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts
        for match in literal.finditer(path.read_text())
    ]
    assert found == []


def test_modules_stay_small_enough_to_hold_one_idea():
    long = [
        str(path.relative_to(ROOT))
        for app in ("punklab", *APPS)
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts and len(path.read_text().splitlines()) > 400
    ]
    assert long == []


def test_the_queue_never_runs_in_the_caller_outside_tests():
    assert settings.Q_CLUSTER["sync"] is False
