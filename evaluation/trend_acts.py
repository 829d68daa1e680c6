"""What an operator decides on a run's page: which epoch is the best, and how patient the rule is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django import forms
from django.contrib.auth.models import User

from evaluation import convergence, selection
from punklab.acts import Act
from punklab.roles import TRAIN
from runs.models import TrainingRun


class BestEpochForm(forms.Form):
    epoch = forms.IntegerField(required=False, min_value=1, help_text="Empty: the computed one again.")
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stands beside the choice.",
        error_messages={"required": "Say why: those who read the choice later need the reason."},
    )


class PatienceForm(forms.Form):
    below_best = forms.IntegerField(
        label="Epochs below the best", min_value=1, max_value=50, help_text="So many running say stop."
    )
    falls = forms.IntegerField(label="Falls running", min_value=1, max_value=50, help_text="So many say stop, too ...")
    falls_from = forms.FloatField(label="Falls from", min_value=0, max_value=10, help_text="... from this average on.")


def _question(run: TrainingRun) -> str:
    found = selection.for_run(run)
    now = f"Chosen now: epoch {found.epoch}." if found.is_chosen else ""
    return "\n".join(filter(None, [f"Which epoch of {run} is the best?", now, *found.reasons]))


def _choose(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    choice = selection.choose(run, given["epoch"], given["reason"], by=by)
    if choice.epoch_result is None:
        return f"The computed best epoch of {run} holds again."
    return f"Epoch {choice.epoch_result.epoch_number} of {run} is the best now: {choice.reason}"


def _be_patient(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    convergence.set_patience(run, convergence.Patience(**given), by=by)
    return (
        f"The rule says stop after {given['below_best']} epochs below the best, or {given['falls']} falls running "
        f"from {given['falls_from']:g} on."
    )


CHOOSE_BEST = Act(
    name="choose-best",
    label="Choose the best epoch",
    permission=TRAIN,
    question=_question,
    perform=_choose,
    errors=(selection.SelectionError,),
    form=BestEpochForm,
    initial=lambda run: {"epoch": selection.for_run(run).epoch},
    blockers=lambda run: [] if run.epoch_results.exists() else ["The run has no epoch to choose yet."],
)
PATIENCE = Act(
    name="patience",
    label="Choose the patience",
    permission=TRAIN,
    question=lambda run: (
        f"When shall the rule say stop for {run}? More patience costs epochs, less may miss a late best one. "
        "The trend page shows what each costs in simulated runs."
    ),
    perform=_be_patient,
    form=PatienceForm,
    initial=lambda run: asdict(convergence.patience_of(run)),
)
