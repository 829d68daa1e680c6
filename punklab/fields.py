"""The column type of the lab's timestamps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class UTCTimestampField(models.DateTimeField):  # type: ignore[type-arg]
    """An aware datetime kept in a PostgreSQL `timestamp without time zone` that means UTC."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "timestamp without time zone"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def from_db_value(self, value: datetime | None, *_: object) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)
