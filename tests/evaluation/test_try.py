from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from punklab.diffusion.renderer import request_of
from runs.models import Checkpoint
from tests.factories import write_lora

PROMPT = "pixel art, 24x24, portrait of bespoke punk lady, pink hair, green background"


@pytest.mark.diffusion
@pytest.mark.django_db
def test_a_lora_is_drawn_without_a_run_and_leaves_only_pictures(tmp_path: Path, capsys):
    lora, out = write_lora(tmp_path / "neon.safetensors"), tmp_path / "drawn.png"
    call_command("try", str(lora), prompt=PROMPT, seed=7, weight=0.5, out=out)
    with Image.open(tmp_path / "drawn-24.png") as small:
        assert small.size == (24, 24)
    request = request_of(out)
    assert request
    assert (request.prompt, request.seed, request.lora_weight) == (PROMPT, 7, 0.5)
    assert str(out) in capsys.readouterr().out
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"base": "sd15"}, r"neon\.safetensors was made for"),
        ({"seed": -1}, "seed is -1"),
        ({"weight": 9.0}, "lora_weight is 9.0"),
        ({"out": Path("picture.jpg")}, r"ends in \.png"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_loaded(tmp_path: Path, options, reason: str):
    lora = write_lora(tmp_path / "neon.safetensors")
    with pytest.raises(CommandError, match=reason):
        call_command("try", str(lora), prompt=PROMPT, **options)


def test_a_file_that_is_no_lora_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "notes.safetensors"
    path.write_text("no tensors here")
    with pytest.raises(CommandError, match=r"notes\.safetensors"):
        call_command("try", str(path), prompt=PROMPT)
