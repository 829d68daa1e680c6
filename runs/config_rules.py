"""What can be wrong with a kohya config, as rules over its flat values. ``runs.config.lint`` is the entrance."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runs.config_contradictions import CONTRADICTIONS
from runs.kohya import OPTIMIZERS, OPTIONS, SCHEDULERS, Option, effective, network_arguments, resolution_of

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to mend. ``level`` is error (it will not do what it says) or warning; line None where unknown."""

    code: str
    key: str
    detail: str
    mend: str
    level: Literal["error", "warning"] = "error"
    line: int | None = None


# Keys seen in the lab's past configs, or near at hand, that kohya ignores without a word, and what was meant.
_MEANT = {
    "alpha": "write `network_alpha`",
    "batch_size": "write `train_batch_size`",
    "bucket_resolution": "write `resolution` (and `enable_bucket` with `min_bucket_reso` and `max_bucket_reso`)",
    "conv_alpha": 'write `network_args = ["conv_dim=...", "conv_alpha=..."]`',
    "conv_dim": 'write `network_args = ["conv_dim=...", "conv_alpha=..."]`',
    "cache_text_encoder_outputs": "take it out: Stable Diffusion 1.5's trainer has no such option",
    "dim": "write `network_dim`",
    "epochs": "write `max_train_epochs`",
    "gradient_accumulation": "write `gradient_accumulation_steps`",
    "lr": "write `learning_rate`",
    "lr_scheduler_cycles": "write `lr_scheduler_num_cycles`",
    "num_epochs": "write `max_train_epochs`",
    "num_repeats": "name the image folder `N_name`: N is the number of repeats",
    "optimizer": "write `optimizer_type`",
    "precision": "write `mixed_precision`",
    "rank": "write `network_dim`",
    "repeats": "name the image folder `N_name`: N is the number of repeats",
    "save_every_n_epoch": "write `save_every_n_epochs`",
    "scheduler": "write `lr_scheduler`",
    "sdxl": "take it out: the script decides (`train_network.py` or `sdxl_train_network.py`), not the config",
    "steps": "write `max_train_steps`",
    "warmup_steps": "write `lr_warmup_steps`",
}

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "Path": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "int_or_float": (int, float),
}
_TYPE_WORDS = {
    "str": "text in quotation marks",
    "Path": "a path in quotation marks",
    "bool": "true or false, without quotation marks",
    "int": "a whole number",
    "float": "a number without quotation marks",
    "int_or_float": "a whole number of steps, or a share below 1.0",
}

# kohya takes any number here, and trains nonsense or stops in the middle.
_AT_LEAST_ONE = frozenset(
    [
        "network_dim",
        "train_batch_size",
        "gradient_accumulation_steps",
        "max_train_epochs",
        "max_train_steps",
        "save_every_n_epochs",
        "save_every_n_steps",
        "lr_scheduler_num_cycles",
        "clip_skip",
        "vae_batch_size",
        "bucket_reso_steps",
    ]
)
_NOT_NEGATIVE = frozenset(
    [
        "network_alpha",
        "learning_rate",
        "unet_lr",
        "max_grad_norm",
        "noise_offset",
        "multires_noise_iterations",
        "min_snr_gamma",
        "lr_warmup_steps",
        "keep_tokens",
        "seed",
        "lr_scheduler_power",
        "multires_noise_discount",
        "max_data_loader_n_workers",
    ]
)
_SHARES = frozenset(
    [
        "caption_dropout_rate",
        "caption_tag_dropout_rate",
        "network_dropout",
        "validation_split",
        "multires_noise_discount",
    ]
)


def findings_of(values: Values, *, honoured: Collection[str] | None) -> list[Finding]:
    """All findings over flat values, in no particular order. `honoured` None leaves our own trainer out of it."""
    findings: list[Finding] = []
    checks: list[Callable[[Values], Iterator[Finding]]] = [_ignored, _types, _choices, _ranges, _names, _needed]
    for check in checks:
        findings.extend(check(values))
    findings.extend(
        Finding(code=rule.code, key=rule.key, detail=rule.detail, mend=rule.mend, level=rule.level)
        for rule in CONTRADICTIONS
        if rule.holds(values)
    )
    if honoured is not None:
        findings.extend(_not_honoured(values, honoured))
    return findings


def has_right_type(option: Option, value: Any) -> bool:
    """Whether a TOML value is what kohya's code expects; its parser does not look at values from a config."""
    if option.many:
        if option.name == "text_encoder_lr" and _is(option, value):
            return True
        return isinstance(value, list) and all(_is(option, item) for item in value)
    return _is(option, value)


def _is(option: Option, value: Any) -> bool:
    if isinstance(value, bool):
        return option.type == "bool"
    return isinstance(value, _PYTHON_TYPES[option.type])


def _ignored(values: Values) -> Iterator[Finding]:
    for key in values:
        if key in OPTIONS:
            continue
        near = difflib.get_close_matches(key, OPTIONS, n=1, cutoff=0.8)
        mend = _MEANT.get(key) or (f"write `{near[0]}`" if near else "take it out")
        yield Finding(
            code="ignored_key", key=key, detail=f"kohya has no option `{key}` and ignores it without a word", mend=mend
        )


def _types(values: Values) -> Iterator[Finding]:
    for option, value in _known(values):
        if not has_right_type(option, value):
            words = _TYPE_WORDS[option.type]
            words = f"a list, each item {words}" if option.many else words
            yield Finding(
                code="wrong_type", key=option.name, detail=f"`{option.name}` is {value!r}", mend=f"write {words}"
            )


def _choices(values: Values) -> Iterator[Finding]:
    for option, value in _known(values):
        if option.choices and has_right_type(option, value) and value not in option.choices:
            listed = ", ".join(str(choice) for choice in option.choices)
            yield Finding(
                code="outside_choices",
                key=option.name,
                detail=f"`{option.name}` is {value!r}, which kohya does not offer",
                mend=f"choose one of {listed}, or leave the key out",
            )


def _ranges(values: Values) -> Iterator[Finding]:
    for option, value in _known(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        bound = _broken_bound(option.name, value)
        if bound:
            yield Finding(
                code="out_of_range",
                key=option.name,
                detail=f"`{option.name}` is {value!r}",
                mend=f"give a number {bound}",
            )


def _broken_bound(name: str, value: float) -> str:
    if name in _AT_LEAST_ONE and value < 1:
        return "of 1 or more"
    if name in _NOT_NEGATIVE and value < 0:
        return "of 0 or more"
    if name in _SHARES and not 0 <= value <= 1:
        return "from 0 to 1"
    return ""


def _names(values: Values) -> Iterator[Finding]:
    scheduler = values.get("lr_scheduler")
    if isinstance(scheduler, str) and scheduler not in SCHEDULERS and not scheduler.startswith("adafactor:"):
        yield _unknown("lr_scheduler", scheduler, SCHEDULERS)
    optimizer = values.get("optimizer_type")
    known = {name.lower() for name in OPTIMIZERS}
    if isinstance(optimizer, str) and "." not in optimizer and optimizer and optimizer.lower() not in known:
        yield _unknown("optimizer_type", optimizer, OPTIMIZERS)
    yield from _network_args(values)


def _network_args(values: Values) -> Iterator[Finding]:
    arguments = values.get("network_args")
    for argument in arguments if isinstance(arguments, list) else []:
        if isinstance(argument, str) and "=" not in argument:
            yield Finding(
                code="wrong_type",
                key="network_args",
                detail=f"`network_args` holds {argument!r}",
                mend='write each item as "name=value"',
            )
    for name, text in network_arguments(values).items():
        if name in {"conv_dim", "conv_alpha"} and not _is_number(text):
            yield Finding(
                code="wrong_type", key="network_args", detail=f"`{name}` is {text!r}", mend=f'write "{name}=8"'
            )


def _unknown(key: str, value: str, offered: Collection[str]) -> Finding:
    near = difflib.get_close_matches(value, offered, n=1)
    mend = f"write {near[0]!r}" if near else "choose one of " + ", ".join(offered)
    return Finding(
        code="outside_choices", key=key, detail=f"`{key}` is {value!r}, which kohya does not know", mend=mend
    )


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _needed(values: Values) -> Iterator[Finding]:
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


def _not_honoured(values: Values, honoured: Collection[str]) -> Iterator[Finding]:
    for option, value in _known(values):
        if option.name in honoured or value == option.default or value in ("", []):
            continue
        yield Finding(
            code="not_honoured",
            key=option.name,
            detail=f"our own trainer does not honour `{option.name}` and refuses to train with it",
            mend="take it out, or train this run with kohya",
            level="warning",
        )


def _known(values: Values) -> Iterator[tuple[Option, Any]]:
    for key, value in values.items():
        if key in OPTIONS:
            yield OPTIONS[key], value
