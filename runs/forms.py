"""What people type in to create and to close a run."""

from __future__ import annotations

from django import forms

from runs.models import CaptionVersion
from runs.training import VERDICTS

_AREA = {"class": "vLargeTextField"}


class CreateRunForm(forms.Form):
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
        widget=forms.Textarea(attrs=_AREA | {"rows": 24, "spellcheck": "false", "style": "font-family: monospace"}),
        help_text="kohya's training_config.toml. What kohya would ignore silently, or our trainer would not honour, is refused.",
    )


class CloseRunForm(forms.Form):
    verdict = forms.ChoiceField(choices=[(word, word) for word in VERDICTS], widget=forms.RadioSelect)
    findings = forms.CharField(
        widget=forms.Textarea(attrs=_AREA | {"rows": 4}), help_text="What was learnt. A failure is a result too."
    )
    quality_score = forms.IntegerField(
        required=False, min_value=0, max_value=10, help_text="0 to 10. Empty: it stays as it is."
    )
    best_epoch = forms.IntegerField(required=False, min_value=1, help_text="Empty: it stays as it is.")
