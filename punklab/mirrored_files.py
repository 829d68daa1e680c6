"""The lab's five tables as files: CSV as PostgreSQL's COPY writes it (and the other formats of import-export).

`{a,"b, c"}` is an array, `t` and `f` are booleans, an empty cell is NULL, timestamps mean UTC. What is exported here
reads back without a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.expressions import DatabaseDefault
from import_export import fields, resources, widgets

from punklab.adoption import move_sequence_forward

_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^",{}\\]|\\.)+))\s*(,|\Z)', re.DOTALL)
_TRUE = {"t", "true", "1", "yes"}
_FALSE = {"f", "false", "0", "no"}
_NULL = {"", "null", "none"}
MOST_WRONG = 100  # rows: a file with more is not read on, since each costs 10 ms and more of somebody's patience


def parse_array(text: str) -> list[str | None]:
    """Return the items of a PostgreSQL array literal such as `{a,"b, c",NULL}`.

    Raises ValueError for anything else, nested arrays included.
    """
    body = text.strip()
    if not (body.startswith("{") and body.endswith("}")):
        raise ValueError(f'{text!r} is not an array: write it as {{first,"second, with a comma"}}')
    body = body[1:-1]
    items: list[str | None] = []
    position, more = 0, bool(body.strip())
    while more:
        match = _ITEM.match(body, position)
        if match is None:
            raise ValueError(f"{text!r} is not an array: it cannot be read from {body[position:][:20]!r} on")
        quoted, bare, comma = match.groups()
        item = quoted if quoted is not None else bare.strip()
        is_null = quoted is None and item.upper() == "NULL"
        items.append(None if is_null else re.sub(r"\\(.)", r"\1", item, flags=re.DOTALL))
        position, more = match.end(), bool(comma)
    return items


def array_literal(items: Sequence[str | None]) -> str:
    """Return the PostgreSQL array literal of the items; `parse_array` reads it back."""
    return "{" + ",".join("NULL" if item is None else _quoted(item) for item in items) + "}"


def _quoted(item: str) -> str:
    if item and item.upper() != "NULL" and not re.search(r'[\s,{}"\\]', item):
        return item
    return '"' + re.sub(r'(["\\])', r"\\\1", item) + '"'


class TextWidget(widgets.Widget):
    """Text; an empty cell is NULL."""

    def clean(self, value: Any, row: Any = None, **_: Any) -> str | None:
        return None if value is None or value == "" else str(value)


class ArrayWidget(widgets.Widget):
    """Text arrays as PostgreSQL writes them."""

    def clean(self, value: Any, row: Any = None, **_: Any) -> list[str | None] | None:
        if isinstance(value, list):  # of a JSON file
            return [None if item is None else str(item) for item in value]
        return None if value is None or value == "" else parse_array(str(value))

    def render(self, value: Any, obj: Any = None, **_: Any) -> str:
        return "" if value is None else array_literal(value)


class BooleanWidget(widgets.Widget):
    """`t` and `f`, and what spreadsheets make of them; any other word is refused, never taken for false."""

    def clean(self, value: Any, row: Any = None, **_: Any) -> bool | None:
        word = str("" if value is None else value).strip().lower()
        if word in _NULL:
            return None
        if word not in _TRUE | _FALSE:
            raise ValueError(f"{value!r} is neither true nor false: write t or f")
        return word in _TRUE

    def render(self, value: Any, obj: Any = None, **_: Any) -> str:
        return "" if value is None else "t" if value else "f"


class WholeNumberWidget(widgets.IntegerWidget):
    """A whole number; 12.5 is refused, not cut."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> int | None:
        try:
            if self.is_empty(value):
                return None
            if float(value) != int(float(value)):
                raise ValueError(value)
            return int(super().clean(value, row, **kwargs))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"{value!r} is not a whole number") from error

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return value if kwargs.get("force_native_type") else "" if value is None else str(value)


class ScoreWidget(WholeNumberWidget):
    """A score of 0 to 10."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> int | None:
        score = super().clean(value, row, **kwargs)
        if score is not None and not 0 <= score <= 10:
            raise ValueError(f"{score} is no score: scores go from 0 to 10")
        return score


class FloatWidget(widgets.FloatWidget):
    """A floating-point number in Python's shortest form that reads back the same."""

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return value if kwargs.get("force_native_type") else "" if value is None else repr(float(value))


class TimestampWidget(widgets.Widget):
    """A timestamp without time zone that means UTC, microseconds kept."""

    def clean(self, value: Any, row: Any = None, **_: Any) -> datetime | None:
        if value is None or value == "":
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        if value is None:
            return ""
        naive = value.astimezone(UTC).replace(tzinfo=None)
        return naive if kwargs.get("force_native_type") else naive.isoformat(sep=" ")


class JSONWidget(widgets.Widget):
    """JSON; an empty cell is NULL."""

    def clean(self, value: Any, row: Any = None, **_: Any) -> Any:
        try:
            if isinstance(value, (dict, list)):  # of a JSON file
                return value
            return None if value is None or value == "" else json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{str(value)[:40]!r} is not JSON: {error}") from error

    def render(self, value: Any, obj: Any = None, **_: Any) -> str:
        return "" if value is None else json.dumps(value, ensure_ascii=False)


class KeptField(fields.Field):
    """A column. Files cannot tell NULL from an empty text, so an empty cell leaves an empty text as it is."""

    def get_value(self, instance: Any) -> Any:
        """Return the value; None where the database will fill in its default."""
        value = super().get_value(instance)
        return None if isinstance(value, DatabaseDefault) else value

    def export(self, instance: Any, **kwargs: Any) -> Any:
        """Return the cell; an empty one for NULL, which a spreadsheet would write out as "None"."""
        value = super().export(instance, **kwargs)
        return "" if value is None else value

    def save(self, instance: Any, row: Any, is_m2m: bool = False, **kwargs: Any) -> None:
        if self.clean(row, **kwargs) is None and self.get_value(instance) == "":
            return
        super().save(instance, row, is_m2m, **kwargs)


class MirroredResource(resources.ModelResource):
    """Rows go by their natural key. An `id` in the file must be the row's own, or free."""

    DEFAULT_RESOURCE_FIELD = KeptField
    WIDGETS_MAP: ClassVar = resources.ModelResource.WIDGETS_MAP | {
        "ArrayField": ArrayWidget,
        "AutoField": WholeNumberWidget,
        "BooleanField": BooleanWidget,
        "DateTimeField": TimestampWidget,
        "FloatField": FloatWidget,
        "IntegerField": WholeNumberWidget,
        "JSONField": JSONWidget,
        "TextField": TextWidget,
    }

    class Meta:
        clean_model_instances = True
        skip_unchanged = True
        use_transactions = True

    def import_data(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Import all rows, or none where one of them is wrong; after MOST_WRONG of those the rest is not looked at."""
        self._dataset, self._n_wrong = dataset, 0
        return super().import_data(dataset, *args, **{"rollback_on_validation_errors": True} | kwargs)

    def import_row(self, row: Any, instance_loader: Any, **kwargs: Any) -> Any:
        """Import a row; drop those that follow where enough are wrong."""
        result = super().import_row(row, instance_loader, **kwargs)
        self._n_wrong += bool(result.errors or result.validation_error)
        if self._n_wrong == MOST_WRONG:
            del self._dataset[kwargs["row_number"] :]
        return result

    def get_instance(self, instance_loader: Any, row: dict[str, Any]) -> Any:
        """Return the row of that natural key; None for a new one. Raises ValidationError where `id` contradicts it."""
        key = {name: self.fields[name].clean(row) for name in self.get_import_id_fields()}
        pk = self.fields["id"].clean(row) if "id" in row else None
        same = list(self.get_queryset().filter(**key)[:50])
        instance = next((one for one in same if one.pk == pk), same[0] if len(same) == 1 else None)
        if instance is None and same:
            raise ValidationError(f"{len(same)} rows have {_words(key)}: give the id of the one that is meant.")
        if instance is not None and pk not in (None, instance.pk):
            raise ValidationError(
                f"The row with {_words(key)} has the id {instance.pk} here and {pk} in the file: "
                "take the id column out of the file to go by the name."
            )
        if instance is None and pk is not None and self.get_queryset().filter(pk=pk).exists():
            raise ValidationError(
                f"The id {pk} of {_words(key)} belongs to another row here: take the id column out of the file."
            )
        return instance

    def validate_instance(self, instance: Any, import_validation_errors: Any = None, **kwargs: Any) -> None:
        """Check the row as forms do, but for items of arrays: her arrays hold what they hold."""
        errors = dict(import_validation_errors or {})
        arrays = {field.name for field in instance._meta.get_fields() if isinstance(field, ArrayField)}
        try:
            # What the database itself refuses, it says on saving, also in a dry run
            instance.full_clean(exclude={*errors, *arrays}, validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def do_instance_save(self, instance: Any, is_create: bool) -> None:
        """Save the row. Raises ValidationError, naming column and value, where the database refuses it."""
        try:
            with transaction.atomic():
                super().do_instance_save(instance, is_create)
        except IntegrityError as error:
            raise ValidationError(_refusal(instance, error)) from error

    def after_import(self, dataset: Any, result: Any, **kwargs: Any) -> None:
        """Move the table's sequence past the imported ids, so that the next new row gets a free one."""
        if not kwargs.get("dry_run"):
            with connection.cursor() as cursor:
                move_sequence_forward(cursor, self._meta.model._meta.db_table)


def _words(key: dict[str, Any]) -> str:
    return " and ".join(f"{name} {value!r}" for name, value in key.items())


def _refusal(instance: Any, error: IntegrityError) -> str:
    """What the database's constraint says; PostgreSQL names a column's check `<table>_<column>_check`."""
    found = getattr(error.__cause__, "diag", None)
    name, said = (found.constraint_name or "", found.message_primary) if found else ("", str(error))
    column = name.removeprefix(f"{instance._meta.db_table}_").removesuffix("_check")
    value = f" {column} {getattr(instance, column)!r}:" if column and hasattr(instance, column) else ""
    return f"The database does not take this row:{value} {said}. Change the value, or drop that constraint first."
