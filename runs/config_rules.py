"""What can be wrong with a kohya config, as rules over its flat values. ``runs.config.lint`` is the entrance."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from runs.config_contradictions import CONTRADICTIONS
from runs.config_findings import Finding, Values
from runs.config_needs import needed
from runs.kohya import OPTIMIZERS, OPTIONS, SCHEDULERS, Option, network_arguments

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
    checks: list[Callable[[Values], Iterator[Finding]]] = [_ignored, _types, _choices, _ranges, _names, needed]
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
