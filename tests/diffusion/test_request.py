from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from punklab.diffusion.request import RenderRequest, RequestError

GOOD = RenderRequest(
    base="miniature", base_hash="a" * 64, prompt="punk “lady”", seed=42, steps=8, guidance=1.5,
    scheduler="dpmsolver++", width=96, height=96,
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 100), ("height", 0), ("steps", 0), ("steps", 151), ("steps", 8.0), ("seed", -1), ("seed", True),
        ("guidance", -1.0), ("guidance", math.nan), ("guidance", math.inf), ("guidance", "7"), ("scheduler", "pndm2"),
        ("lora_sha256", "XYZ"), ("lora_weight", 40.0), ("batch_class", 0), ("max_token_length", 77), ("base", " "),
        ("prompt", None),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_field_and_value(field, value):
    with pytest.raises(RequestError) as caught:
        dataclasses.replace(GOOD, **{field: value})
    assert field in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_request_survives_json_and_keeps_its_digest():
    again = RenderRequest.from_json(GOOD.to_json())
    assert again == GOOD
    assert again.digest() == GOOD.digest()
    assert json.loads(GOOD.to_json())["prompt"] == "punk “lady”"


def test_whole_and_decimal_numbers_are_one_request():
    assert dataclasses.replace(GOOD, guidance=2).digest() == dataclasses.replace(GOOD, guidance=2.0).digest()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RenderRequest)])
def test_every_field_decides(field):
    others: dict[str, Any] = {
        "base": "x", "base_hash": "b" * 64, "lora_sha256": "c" * 64, "lora_weight": 0.5, "prompt": "x",
        "negative_prompt": "x", "seed": 1, "steps": 9, "guidance": 2.0, "scheduler": "euler", "width": 192,
        "height": 192, "batch_class": 8, "max_token_length": 225, "finish": "punk24-1",
    }  # fmt: skip
    assert dataclasses.replace(GOOD, **{field: others[field]}).digest() != GOOD.digest()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"base": "x"}', GOOD.to_json()[:-1] + ',"owner":"me"}'])
def test_what_is_no_request_is_said_to_be_none(text):
    with pytest.raises(RequestError):
        RenderRequest.from_json(text)
