"""What people ask of a matrix: which runs and epochs, which seed, which LoRA weight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q

from evaluation import weights
from evaluation.matrix import Question
from runs.models import Checkpoint, TrainingRun

MOST_RUNS = 12
_ALL = "all"


def epochs_in(text: str) -> frozenset[int] | None:
    """The epochs in "1-3, 7"; None for an empty text, which means all. Raises ValidationError."""
    found: set[int] = set()
    for word in re.split(r"[\s,;]+", text.strip()):
        match = re.fullmatch(r"(\d{1,4})(?:[-–](\d{1,4}))?", word)
        if word and match is None:
            raise ValidationError(f"{word!r} is no epoch: write numbers and ranges, as in 1-3, 7.")
        if match:
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                raise ValidationError(f"{word!r} ends before it begins: write {last}-{first}.")
            found |= set(range(first, last + 1))
    return frozenset(found) or None


class MatrixForm(forms.Form):
    """The address of a matrix as a form; `run` may be there several times, by name or number."""

    epochs = forms.CharField(
        required=False,
        max_length=200,
        help_text="1-3, 7; empty: all",
        widget=forms.TextInput(attrs={"size": 10, "autocomplete": "off"}),
    )
    seed = forms.IntegerField(required=False, min_value=0)
    weight = forms.CharField(required=False, label="LoRA weight")
    order = forms.ChoiceField(required=False, choices=[("", "run by run"), ("epoch", "epoch by epoch")])

    def __init__(self, data: Any, *, run: TrainingRun) -> None:
        super().__init__(data)
        self.run = run
        self.runs = [run]

    def clean_epochs(self) -> frozenset[int] | None:
        return epochs_in(self.cleaned_data["epochs"])

    def clean_weight(self) -> float | None:
        text = self.cleaned_data["weight"]
        if text == _ALL:
            return None
        try:
            (weight,) = weights.parse(text or "1")
        except (weights.WeightError, ValueError) as error:
            raise ValidationError(f"{text!r} is no weight: give one number, or all.") from error
        return weight

    def clean(self) -> dict[str, Any]:
        asked = [text.strip() for text in self.data.getlist("run") if text.strip()]  # type: ignore[attr-defined]
        numbers = [int(text) for text in asked if text.isdecimal() and len(text) < 10]
        found = TrainingRun.objects.filter(Q(run_name__in=asked) | Q(pk__in=numbers)).order_by("run_date", "pk")
        others = [run for run in found if run.pk != self.run.pk]
        known = {text for run in [self.run, *others] for text in (run.run_name, str(run.pk))}
        for text in asked:
            if text not in known:
                self.add_error(None, f"There is no run called {text!r}.")
        if len(others) >= MOST_RUNS:
            self.add_error(None, f"{len(others) + 1} runs are too many to look at: {MOST_RUNS} at most.")
        self.runs = [self.run, *others[: MOST_RUNS - 1]]
        return self.cleaned_data

    def question(self, beside: Sequence[Checkpoint] = ()) -> Question:
        """What is asked for; a field that was not understood asks for nothing in particular."""
        self.is_valid()
        given = self.cleaned_data
        return Question(
            runs=self.runs,
            epochs=given.get("epochs"),
            seed=given.get("seed"),
            weight=given.get("weight", weights.AS_TRAINED),
            by_epoch=given.get("order") == "epoch",
            beside=beside,
        )


class WeightsForm(forms.Form):
    """Which weights are drawn of an epoch."""

    weights = forms.CharField(
        initial=", ".join(f"{weight:g}" for weight in weights.USUAL),
        max_length=200,
        help_text=f"0 is the base without the LoRA, 1 the strength it was trained with; {weights.HIGHEST:g} at most.",
    )

    def clean_weights(self) -> tuple[float, ...]:
        try:
            return weights.parse(self.cleaned_data["weights"])
        except weights.WeightError as error:
            raise ValidationError(str(error)) from error


class EpochsAndWeightsForm(WeightsForm):
    """The same for epochs of a run."""

    epochs = forms.CharField(max_length=200, help_text="Numbers and ranges, as in 1-3, 7.")
    field_order = ("epochs", "weights")

    def clean_epochs(self) -> frozenset[int]:
        return epochs_in(self.cleaned_data["epochs"]) or frozenset()
