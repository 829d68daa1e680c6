"""From a checkpoint and a prompt to a request: test pictures and visitors' punks are asked for in the same way."""

from __future__ import annotations

from punklab.diffusion.request import TOKEN_LENGTHS, WINDOW, RenderRequest
from punklab.pixels import finish as finishes
from runs.bases import base_for
from runs.collections import most_colours
from runs.models import Checkpoint


def request_for(
    checkpoint: Checkpoint,
    *,
    prompt: str,
    negative_prompt: str = "",
    seed: int,
    batch_class: int = 1,
    lora_weight: float = 1.0,
    size: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    scheduler: str | None = None,
    max_token_length: int | None = None,
    finish: str | None = None,
) -> RenderRequest:
    """The request for one picture of a checkpoint; what is None comes from the base's profile.

    The prompt is read as far as the LoRA's captions were, and the picture finished as `finish_for` says. Raises BaseError when the base is not on this machine or not
    rendered here, RequestError for a value that no picture can be drawn with."""
    base = base_for(checkpoint.base_model)
    profile = base.profile
    return RenderRequest(
        base=base.name,
        base_hash=base.fingerprint,
        lora_sha256=checkpoint.sha256 or None,
        lora_weight=lora_weight if checkpoint.sha256 else 1.0,
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        steps=profile.steps if steps is None else steps,
        guidance=profile.guidance if guidance is None else guidance,
        scheduler=profile.scheduler if scheduler is None else scheduler,
        width=profile.size if size is None else size,
        height=profile.size if size is None else size,
        batch_class=batch_class,
        max_token_length=max_token_length or _trained_length(checkpoint) or profile.max_token_length,
        finish=finish or finish_for(checkpoint),
    )


def finish_for(checkpoint: Checkpoint) -> str:
    """The finish that leaves no more colours than the pictures that the checkpoint learned from have. A query."""
    return finishes.name_of(most_colours(checkpoint.run))


def _trained_length(checkpoint: Checkpoint) -> int | None:
    """How many tokens the captions were read to, by kohya's `ss_max_token_length`; None: the header does not say."""
    written = checkpoint.header.get("metadata", {}).get("ss_max_token_length")
    if written == "None":  # kohya's way to write that one window was read
        return WINDOW
    length = int(written) if written and written.isdecimal() else 0
    return length if length in TOKEN_LENGTHS else None
