"""What every kohya config of the lab needs: captions from .txt files, a LoRA network, a size that can be trained."""

from __future__ import annotations

from collections.abc import Iterator

from runs.config_findings import Finding, Values
from runs.kohya import effective, resolution_of


def needed(values: Values) -> Iterator[Finding]:
    """What is missing or cannot be used."""
    own_datasets = values.get("dataset_config") or values.get("in_json")
    extension = values.get("caption_extention") or values.get("caption_extension")
    if not own_datasets and extension is None:
        yield Finding(
            code="missing_caption_extension",
            key="caption_extension",
            detail="kohya looks for `.caption` files by default: .txt captions are ignored and the folder's name is "
            "the caption of every image",
            mend='add `caption_extension = ".txt"`',
        )
    elif not own_datasets and extension != ".txt":
        yield Finding(
            code="other_caption_extension",
            key="caption_extension",
            detail=f"captions are looked for in {extension!r} files; the lab's are .txt",
            mend='write `caption_extension = ".txt"`',
        )
    if values.get("network_module") != "networks.lora":
        yield Finding(
            code="network_module",
            key="network_module",
            detail=f"`network_module` is {values.get('network_module')!r}; a LoRA needs kohya's LoRA network",
            mend='write `network_module = "networks.lora"`',
        )
    if not own_datasets:
        yield from _resolution(values)


def _resolution(values: Values) -> Iterator[Finding]:
    text = values.get("resolution")
    size = resolution_of(text)
    if size is None:
        yield Finding(
            code="resolution",
            key="resolution",
            detail="`resolution` is not set" if text is None else f"`resolution` is {text!r}, which kohya cannot read",
            mend='write it as text, `resolution = "512,512"`',
        )
        return
    if size[0] % 8 or size[1] % 8:
        yield Finding(
            code="resolution",
            key="resolution",
            detail=f"`resolution` is {text!r}: latents are an eighth of it",
            mend="give multiples of 8 (64 where buckets are on)",
        )
    if effective(values, "enable_bucket") is True and not _within_buckets(values, size):
        yield Finding(
            code="resolution",
            key="resolution",
            detail=f"`resolution` {text!r} lies outside the buckets, and kohya refuses to start",
            mend="set `min_bucket_reso` and `max_bucket_reso` around it",
        )


def _within_buckets(values: Values, size: tuple[int, int]) -> bool:
    low, high = effective(values, "min_bucket_reso"), effective(values, "max_bucket_reso")
    if not isinstance(low, int) or not isinstance(high, int):
        return True
    return low <= min(size) and max(size) <= high
