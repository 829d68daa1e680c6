"""The README's commands are ones that this checkout has, with arguments that they take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
NUMBERS = {"EPOCH": "3", "VISUAL": "7", "STYLE": "8", "PROMPT": "9"}
COMMANDS = re.findall(r"`manage\.py ([a-z_]+[^`]*)`", README)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_takes_the_arguments_that_the_readme_gives_it(line):
    name, *arguments = shlex.split(line)
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    assert parser.parse_args([NUMBERS.get(argument, argument) for argument in arguments])


def test_the_readme_names_every_command_that_is_made_for_people():
    made_for_machines = {"run_training", "stop_training", "lab"}
    ours = {
        path.stem
        for app in ("runs", "evaluation", "deployment")
        for path in (ROOT / app / "management" / "commands").glob("[!_]*.py")
    }
    assert ours - made_for_machines == {line.split()[0] for line in COMMANDS} - {"migrate"}


def test_every_make_target_and_document_that_it_names_is_there():
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE))
    assert {"lab", "test", "bench"} <= targets
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= made
    for path in re.findall(r"docs/[\w.]+\.(?:md|png)", README):
        assert (ROOT / path).is_file()
