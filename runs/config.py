"""kohya's ``training_config.toml``: read, write, lint; and its part in the lab's mirrored columns.

kohya flattens a TOML over its sections, lays it over its options and ignores what it does not know. The same
flattening is done here, so that a config means the same to both trainers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit

from runs.config_columns import columns_from, parameters_of
from runs.config_findings import Finding
from runs.config_rules import findings_of
from runs.kohya import OPTIONS

_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_UNSAFE_KEY = re.compile(r"[^A-Za-z0-9_-]")


class ConfigError(Exception):
    """A config that cannot be read: the message names the file, the line and the mend."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A config flattened over its sections. ``overridden`` holds keys that two sections set differently."""

    values: dict[str, Any]
    source: str = "the config"
    text: str = ""
    overridden: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()

    def line_of(self, key: str) -> int | None:
        """The line, from 1, on which a key is set last (the one that counts); None where it is not."""
        pattern = re.compile(rf"""^\s*["']?{re.escape(key)}["']?\s*=""")
        lines = [number for number, line in enumerate(self.text.splitlines(), start=1) if pattern.match(line)]
        return lines[-1] if lines else None


@dataclass
class _Flattened:
    values: dict[str, Any] = field(default_factory=dict)
    overridden: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any) -> None:
        if key in self.values and self.values[key] != value:
            self.overridden.append(key)
        if isinstance(value, dict):
            self.nested.append(key)
        self.values[key] = value


def read_config(source: str | Path) -> Config:
    """A ``Path`` is read as a file, a ``str`` as TOML. Raises ConfigError naming file, line and mend."""
    if isinstance(source, Path):
        return _parse(_read_file(source), str(source))
    return _parse(source, "the config")


def write_config(values: Mapping[str, Any]) -> str:
    """The TOML of flat values, in kohya's own reach (one level, plain types); None values are left out."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in values.items() if value is not None)


def lint(config: Config, honoured: Collection[str] | None = None) -> list[Finding]:
    """What kohya, or (where `honoured` names its options) our trainer, would ignore, refuse or misread.

    Errors first, then by line; an empty list means that the config does what it says.
    """
    findings = findings_of(config.values, honoured=honoured)
    for key in config.overridden:
        findings.append(
            Finding(
                code="set_twice",
                key=key,
                detail=f"`{key}` is set in two sections with different values; kohya takes the last one",
                mend=f"keep one line for `{key}`",
            )
        )
    for key in config.nested:
        findings.append(
            Finding(
                code="nested_table",
                key=key,
                detail=f"`{key}` is a table inside a section; kohya flattens one level only and would ignore it",
                mend="move its keys up into the section",
            )
        )
    placed = [replace(finding, line=config.line_of(finding.key)) for finding in findings]
    return sorted(placed, key=lambda found: (found.level != "error", found.line or 0, found.key, found.code))


def columns_of(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """The config as the mirrored columns of ``training_runs`` (runs.config_columns)."""
    return columns_from(_values(config))


def _values(config: Config | Mapping[str, Any]) -> Mapping[str, Any]:
    return config.values if isinstance(config, Config) else config


def _read_file(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name an existing TOML file") from error
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{path}, line 1: begins with a byte order mark; save it as UTF-8 without one")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: is not UTF-8; save the file as UTF-8") from error


def _parse(text: str, source: str) -> Config:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_message(error, text, source)) from error
    flat = _Flattened()
    for name, section in document.items():
        if isinstance(section, dict):
            for key, value in section.items():
                flat.put(key, value)
        else:
            flat.put(name, section)
    return Config(
        values=flat.values, source=source, text=text, overridden=tuple(flat.overridden), nested=tuple(flat.nested)
    )


def _syntax_message(error: tomllib.TOMLDecodeError, text: str, source: str) -> str:
    reason = _POSITION.sub("", str(error)).strip()
    found = _POSITION.search(str(error))
    lines = text.splitlines() or [""]
    number = int(found.group(1)) if found and found.group(1) else len(lines)
    line = lines[min(number, len(lines)) - 1].strip()
    return f"{source}, line {number}: {reason} in `{line}`; {_syntax_mend(line, reason)}"


def _syntax_mend(line: str, reason: str) -> str:
    value = line.partition("=")[2].strip()
    if value in {"True", "False"}:
        return f"write {value.lower()} in small letters"
    if value.lower() in {"none", "null"}:
        return "TOML has no empty value: leave the line out"
    if "Cannot overwrite" in reason:
        return "a section sets this key twice: keep one line"
    if "=" not in line and not line.startswith("["):
        return "write it as `key = value`"
    if "Invalid value" in reason:
        return "put text in quotation marks"
    return "check quotation marks, brackets and the end of the line"


def _key(key: str) -> str:
    return _quoted(key) if _UNSAFE_KEY.search(key) or not key else key


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


__all__ = [
    "OPTIONS",
    "Config",
    "ConfigError",
    "Finding",
    "columns_of",
    "lint",
    "parameters_of",
    "read_config",
    "write_config",
]
