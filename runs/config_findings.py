"""What a rule finds in a kohya config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
