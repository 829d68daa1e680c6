"""What people type in about an epoch: three scores, and what they saw."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluation import suite
from evaluation.models import EpochResult
from evaluation.verdicts import HIGHEST, LOWEST


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
    observations = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    issues = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One a line. Empty: the measures speak, and where there are none the lab's rules.",
    )
    strengths = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="One a line.")

    def __init__(self, data: Any = None, *, result: EpochResult) -> None:
        # What a script wrote is no person's opinion to start from.
        theirs = not result.is_machine_scored
        scores = zip(("visual", "style", "prompt"), EpochResult.SCORES, strict=True)
        initial = {name: getattr(result, column) for name, column in scores} if theirs else {}
        words = (result.observations or "") if theirs else ""
        super().__init__(data, initial=initial | {"observations": words}, auto_id=f"id_{result.pk}_%s")

    def clean_issues(self) -> list[str] | None:
        return _lines(self.cleaned_data["issues"])

    def clean_strengths(self) -> list[str] | None:
        return _lines(self.cleaned_data["strengths"])


class SuiteForm(forms.Form):
    size = forms.ChoiceField(
        choices=[(size.value, size.value) for size in suite.Size], initial=suite.Size.FULL, widget=forms.RadioSelect
    )


def _lines(text: str) -> list[str] | None:
    return [line.strip() for line in text.splitlines() if line.strip()] or None
