from __future__ import annotations

import pytest

from punklab.diffusion import prompt
from punklab.diffusion.base import BaseModel

pytestmark = pytest.mark.diffusion
LONG = ", ".join(f"pink hair (#{i:06x})" for i in range(1, 22))


@pytest.fixture(scope="module")
def encoder(miniature: BaseModel):
    from transformers import CLIPTextModel, CLIPTokenizer

    return (
        CLIPTokenizer.from_pretrained(miniature.files / "tokenizer"),
        CLIPTextModel.from_pretrained(miniature.files / "text_encoder", use_safetensors=True).eval(),
    )


def by_hand(text: str, limit: int, tokenizer, text_encoder):
    """kohya's way, token by token: cut, add markers, fill with end markers, cut into windows, encode each, join."""
    import torch

    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    body = tokenizer(text, add_special_tokens=False).input_ids[:limit]
    body += [end] * (limit - len(body))
    parts = []
    for start in range(0, limit, 75):
        states = text_encoder(torch.tensor([[begin, *body[start : start + 75], end]]))[0]
        parts += [states[:, :1]] if start == 0 else []
        parts += [states[:, 1:76]]
    return torch.cat([*parts, states[:, 76:]], dim=1)


@pytest.mark.parametrize(("limit", "length"), [(75, 77), (150, 152), (225, 227)])
@pytest.mark.parametrize("text", ["", "pixel art, pink hair", LONG])
def test_windows_are_encoded_as_kohya_encodes_captions(encoder, text, limit, length):
    import torch

    with torch.no_grad():
        states = prompt.encode([text], encoder[0], encoder[1], limit)
        assert states.shape == (1, length, encoder[1].config.hidden_size)
        torch.testing.assert_close(states, by_hand(text, limit, *encoder), atol=1e-5, rtol=1e-4)


def test_what_stands_behind_the_first_window_counts_only_with_more_windows(encoder):
    import torch

    length = len(encoder[0].tokenize(LONG))
    assert length > 150
    ids = [prompt.token_ids([LONG, LONG + "green background"], encoder[0], limit) for limit in (75, 225)]
    assert torch.equal(ids[0][0], ids[0][1])
    assert ids[1].shape == (2, 3, 77)
    assert length > 225 or not torch.equal(ids[1][0], ids[1][1])


def test_other_lengths_are_refused(encoder):
    with pytest.raises(ValueError, match="max_token_length is 77"):
        prompt.encode(["x"], encoder[0], encoder[1], 77)
