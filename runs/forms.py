"""What people type in to create and to close a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from runs.models import CaptionVersion, Checkpoint, RunPlan, TrainingRun
from runs.plans import Criterion
from runs.training import MOST_HOURS, VERDICTS

_AREA = {"class": "vLargeTextField"}


class CreateRunForm(forms.Form):
    """A run to be made. `measures` are what a criterion may ask for, key and label; without them none is asked."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}))
    captions = forms.ModelChoiceField(
        # Versions whose captions are here; of the others there is only a record.
        queryset=CaptionVersion.objects.filter(captions__isnull=False).distinct(),
        empty_label=None,
        help_text="Caption versions whose captions and pictures are in this database.",
    )
    base = forms.CharField(
        required=False,
        label="Base model",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Empty: the one of this site's settings.",
    )
    config_text = forms.CharField(
        label="Training config",
        strip=False,
        widget=forms.Textarea(attrs=_AREA | {"rows": 24, "spellcheck": "false", "class": "vLargeTextField mono"}),
        help_text="kohya's training_config.toml. What kohya would ignore silently, or our trainer would not honour, is refused.",
    )
    measure = forms.ChoiceField(
        required=False, label="Stop early unless", help_text="The criterion, named before the training. Empty: none."
    )
    epoch = forms.IntegerField(required=False, min_value=1, label="of epoch")
    direction = forms.ChoiceField(
        required=False, label="is", choices=RunPlan.Direction.choices, initial=RunPlan.Direction.AT_LEAST
    )
    threshold = forms.FloatField(
        required=False, help_text="Scores go from 0 to 10, shares of pictures are in percent, from 0 to 100."
    )
    reason_despite_failures = forms.CharField(
        required=False,
        label="Why in spite of them",
        widget=forms.Textarea(attrs=_AREA | {"rows": 2}),
        help_text="Only where all the nearest past runs failed.",
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, measures: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["measure"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", "no criterion"), *measures]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("measure"):
            for name in ("epoch", "threshold"):
                if given.get(name) is None and name not in self.errors:
                    self.add_error(name, f"A criterion needs its {name}: fill it in, or choose no criterion.")
        return given

    def clean_seen(self) -> frozenset[int]:
        return frozenset(int(pk) for pk in self.cleaned_data["seen"].split(",") if pk.isdecimal())

    @property
    def criterion(self) -> Criterion | None:
        """What was asked of which epoch; None: nothing."""
        given = self.cleaned_data
        if not given["measure"]:
            return None
        return Criterion(
            measure=given["measure"],
            epoch=given["epoch"],
            direction=given["direction"] or RunPlan.Direction.AT_LEAST,
            threshold=given["threshold"],
        )


class CopyRunForm(CreateRunForm):
    """What is asked beyond that of a run that copies another."""

    changes = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs=_AREA | {"rows": 3, "spellcheck": "false"}),
        help_text="What differs from its parent, a line each, such as: network_dim = 16. They win over the config below.",
    )
    starting_checkpoint = forms.ModelChoiceField(
        queryset=Checkpoint.objects.none(),
        required=False,
        label="Start from",
        empty_label="the base model",
        help_text="An epoch of the parent whose LoRA is trained on; its dim must be the same.",
    )
    hypothesis = forms.CharField(
        widget=forms.Textarea(attrs=_AREA | {"rows": 2}), help_text="What you expect of the change, and why."
    )
    reason_for_several = forms.CharField(
        required=False,
        label="Why several changes",
        widget=forms.Textarea(attrs=_AREA | {"rows": 2}),
        help_text="Only where more than one variable changes.",
    )
    field_order = ("name", "changes", "hypothesis", "reason_for_several", "captions", "starting_checkpoint", "base")

    def __init__(self, *args: Any, parent: TrainingRun, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        epochs = self.fields["starting_checkpoint"]
        assert isinstance(epochs, forms.ModelChoiceField)
        epochs.queryset = parent.checkpoints.exclude(file="").select_related("run").order_by("epoch")


class CloseRunForm(forms.Form):
    verdict = forms.ChoiceField(choices=[(word, word) for word in VERDICTS], widget=forms.RadioSelect)
    findings = forms.CharField(
        widget=forms.Textarea(attrs=_AREA | {"rows": 4}), help_text="What was learnt. A failure is a result too."
    )
    quality_score = forms.IntegerField(
        required=False, min_value=0, max_value=10, help_text="0 to 10. Empty: it stays as it is."
    )
    best_epoch = forms.IntegerField(required=False, min_value=1, help_text="Empty: it stays as it is.")


class RentForm(forms.Form):
    """How long machines may be rented for one job."""

    max_hours = forms.FloatField(
        label="End after so many hours at the latest",
        min_value=0.25,
        max_value=MOST_HOURS,
        help_text="of rented machines, all attempts together; the worst case is held against the caps",
        widget=forms.NumberInput(attrs={"step": "0.25"}),
    )
