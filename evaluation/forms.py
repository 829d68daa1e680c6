"""What people type in about an epoch: three scores, and what they saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from evaluation import suite, verdicts
from evaluation.models import EpochResult, ScoreEntry
from evaluation.verdicts import HIGHEST, LOWEST

COLUMNS = dict(zip(("visual", "style", "prompt"), EpochResult.SCORES, strict=True))


def _score(label: str, help_text: str) -> forms.IntegerField:
    outside = f"{label} goes from {LOWEST} to {HIGHEST}."
    return forms.IntegerField(
        label=label,
        min_value=LOWEST,
        max_value=HIGHEST,
        help_text=help_text,
        error_messages={
            "required": f"{label} is missing: an epoch gets all three scores or none.",
            "invalid": f"{label} must be a whole number from {LOWEST} to {HIGHEST}.",
            "min_value": outside,
            "max_value": outside,
        },
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )


class ScoreForm(forms.Form):
    visual = _score("Visual quality", "Clean, whole, in the right colours.")
    style = _score("Style match", "The collection's manner: 24x24, hard edges, its proportions.")
    prompt = _score("Prompt adherence", "Everything that was asked for, and nothing else.")
    observations = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}))
    issue_tags = forms.MultipleChoiceField(
        label="Issues", required=False, choices=verdicts.ISSUE_TAGS, widget=forms.CheckboxSelectMultiple
    )
    no_issues = forms.BooleanField(label="none seen", required=False)
    issues = forms.CharField(
        label="Other issues",
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 1}),
        help_text="One a line. No issue said at all: the measures speak, and where there are none the lab's rules.",
    )
    strength_tags = forms.MultipleChoiceField(
        label="Strengths", required=False, choices=verdicts.STRENGTH_TAGS, widget=forms.CheckboxSelectMultiple
    )
    strengths = forms.CharField(
        label="Other strengths", required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 1})
    )
    accepted = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Any = None,
        *,
        result: EpochResult,
        own: ScoreEntry | None = None,
        draft: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Begins with the reviewer's draft, else with their own scores, never with anybody else's."""
        initial = _of_draft(draft) if draft else _of_entry(own) if own else {}
        super().__init__(data, initial=initial, auto_id=f"id_{result.pk}_%s")

    def clean(self) -> dict[str, Any]:
        """Issues and strengths as lists of words, None where nothing is said of them; accepted as score columns."""
        cleaned = super().clean() or {}
        issues = [*cleaned.get("issue_tags", []), *_lines(cleaned.get("issues", ""))]
        strengths = [*cleaned.get("strength_tags", []), *_lines(cleaned.get("strengths", ""))]
        if issues and cleaned.get("no_issues"):
            self.add_error("no_issues", f"“None seen” and {', '.join(issues)} cannot both hold: take one back.")
        cleaned["issues"] = issues if issues or cleaned.get("no_issues") else None
        cleaned["strengths"] = strengths or None
        taken_over = cleaned.get("accepted", "").split(",")
        cleaned["accepted"] = [column for name, column in COLUMNS.items() if name in taken_over]
        return cleaned


class SuiteForm(forms.Form):
    size = forms.ChoiceField(
        choices=[(size.value, size.value) for size in suite.Size], initial=suite.Size.FULL, widget=forms.RadioSelect
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _of_entry(own: ScoreEntry) -> dict[str, Any]:
    issues, strengths = own.issues or [], own.strengths or []
    return {
        **{name: round(getattr(own, column)) for name, column in COLUMNS.items()},
        "observations": own.observations,
        "issue_tags": issues,
        "no_issues": own.issues == [],
        "issues": "\n".join(word for word in issues if word not in dict(verdicts.ISSUE_TAGS)),
        "strength_tags": strengths,
        "strengths": "\n".join(word for word in strengths if word not in dict(verdicts.STRENGTH_TAGS)),
        "accepted": ",".join(name for name, column in COLUMNS.items() if column in own.accepted),
    }


def _of_draft(draft: Mapping[str, list[str]]) -> dict[str, Any]:
    lists = ("issue_tags", "strength_tags")
    return {name: values if name in lists else values[-1] for name, values in draft.items() if values}
