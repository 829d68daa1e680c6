"""Forms for the lab's five tables: whatever a row holds is shown, kept, and never stands in the way of another change.

Only what a person changed is checked and written. A column that machines write meanwhile is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.http import HttpRequest
from django.utils.text import capfirst

from punklab.history import HistoryAdmin

if TYPE_CHECKING:
    _Form = forms.ModelForm[Any]
else:
    _Form = forms.ModelForm


class KeptText(forms.CharField):
    """Text as it is: nothing stripped, and a browser's line ends are no change. Empty means NULL where it may."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"strip": False} | kwargs))

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.replace("\r\n", "\n") if isinstance(value, str) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return _lines(initial) != _lines(data)


class LinesField(forms.CharField):
    """A text array, one item a line. Empty means NULL, or stays the empty array that it was."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(item or "" for item in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line and line.strip()] or None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial) != self.to_python(data))


class PrettyJSON(forms.JSONField):
    """JSON, indented."""

    def to_python(self, value: Any) -> Any:
        found = super().to_python(value)
        if isinstance(value, str) and "\\u0000" in value:
            raise forms.ValidationError("PostgreSQL keeps no \\u0000: take it out.")
        return found

    def prepare_value(self, value: Any) -> Any:
        value = super().prepare_value(value)
        try:
            return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
        except (TypeError, ValueError):
            return value


class MirroredForm(_Form):
    """Checks and writes only what was changed."""

    # Column to the documented values; forms offer these and the row's own.
    offered: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Columns that go from 0 to 10; a value outside that a row already has may stay.
    scores: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # What was on the page when it was opened, to tell a person's change from one that came meanwhile.
            field.show_hidden_initial = bool(self.instance.pk)
            value = getattr(self.instance, name, None)
            if self.instance.pk and value in (None, ""):
                field.required = False
            if name in self.offered:
                field.widget = forms.Select(choices=_choices(self.offered[name], value))
            elif isinstance(value, str) and "\n" in value and isinstance(field.widget, forms.TextInput):
                field.widget = _textarea(3)  # a browser takes line ends out of a one-line input

    def clean(self) -> dict[str, Any]:
        super().clean()
        for name in set(self.offered) & set(self.changed_data) & set(self.cleaned_data):
            value = self.cleaned_data[name]
            if value and value not in (*self.offered[name], self.initial.get(name)):
                self.add_error(name, f"{value!r} is none of {', '.join(self.offered[name])}.")
        for name in set(self.scores) & set(self.changed_data) & set(self.cleaned_data):
            value = self.cleaned_data[name]
            if value is not None and not 0 <= value <= 10:
                self.add_error(name, f"{value} is no score: scores go from 0 to 10.")
        changed = self.changed_data if self.instance.pk else list(self.fields)
        return {name: value for name, value in self.cleaned_data.items() if name in changed}

    def _get_validation_exclusions(self) -> set[str]:
        unchanged = set(self.fields) - set(self.changed_data) if self.instance.pk else set()
        return super()._get_validation_exclusions() | unchanged  # type: ignore[misc, no-any-return]


class MirroredAdmin(HistoryAdmin):
    """The part of a ModelAdmin that mirrored tables share."""

    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field that keeps what the column holds."""
        if isinstance(db_field, ArrayField):
            label = capfirst(db_field.verbose_name)
            return LinesField(required=not db_field.blank, label=label, widget=_textarea(3), help_text="One a line.")
        if isinstance(db_field, models.JSONField):
            return db_field.formfield(form_class=PrettyJSON, widget=_textarea(6))
        if isinstance(db_field, models.TextField):
            short = forms.TextInput(attrs={"class": "vTextField"})
            widget = short if _is_short(db_field) else _textarea(3)
            text = db_field.formfield(form_class=KeptText, widget=widget)
            assert isinstance(text, KeptText)
            text.empty_value = None if db_field.null else ""
            return text
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """Return the fieldsets; of a row that is still to be made, those columns only that people fill."""
        found = super().get_fieldsets(request, obj)
        if obj is not None:
            return list(found)
        fixed = set(self.get_readonly_fields(request, obj))
        kept = [(title, options | {"fields": _without(options["fields"], fixed)}) for title, options in found]
        return [(title, options) for title, options in kept if options["fields"]]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the changed columns of an existing row, all of a new one."""
        obj.save(update_fields=[name for name in form.changed_data if name in form.fields] if change else None)


# How the names of columns end that hold sentences; the other texts are words, names and paths.
_PROSE = (
    "notes",
    "findings",
    "observations",
    "description",
    "caption",
    "text",
    "prompt",
    "purpose",
    "result",
    "to_previous",
)


def _without(fields: Sequence[Any], names: set[str]) -> list[tuple[str, ...]]:
    """The fields of a fieldset, lines of several included, but for those of the names."""
    lines = [(line,) if isinstance(line, str) else tuple(line) for line in fields]
    kept = (tuple(name for name in line if name not in names) for line in lines)
    return [line for line in kept if line]


def _is_short(field: models.Field[Any, Any]) -> bool:
    return not field.name.endswith(_PROSE)


def _textarea(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "class": "vLargeTextField"})


def _choices(offered: Sequence[str], present: str | None) -> list[tuple[str, str]]:
    known = [(value, value) for value in offered]
    own = [(present, f"{present} (kept as it is)")] if present and present not in offered else []
    return [("", "---------"), *known, *own]


def _lines(value: Any) -> str:
    return str(value or "").replace("\r\n", "\n").replace("\r", "\n")
