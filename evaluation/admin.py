"""The console's pages on how good it is. The run's page gains its epochs, with pictures and scores, here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from evaluation import blind_admin as blind_admin  # registers its lists
from evaluation import convergence, criteria, full_comparison, voices
from evaluation import epoch_admin as epoch_admin  # registers its lists
from evaluation import epochs as epochs_measured
from evaluation import trend_admin as trend_admin  # registers its lists
from evaluation.baselines import Baselines
from evaluation.checklists import Checklist, checklists
from evaluation.forms import ScoreForm
from evaluation.gallery import Card, cards_of
from evaluation.models import EpochResult
from evaluation.progressive import Choice, choices_for
from evaluation.run_acts import EVALUATED_RUN_ACTS
from evaluation.run_difference import difference_of
from evaluation.standing import ACTIONS, AVERAGE, N_SCORED, action_for
from evaluation.suite import SuiteError
from evaluation.suite_models import SuiteRule
from punklab.acts import ActsAdmin
from punklab.roles import SCORE, TRAIN
from runs import run_facts
from runs.admin import TrainingRunAdmin
from runs.models import RunPlan, TrainingRun

MOST_OTHERS = 500  # runs to choose from, the latest

admin.site.unregister(TrainingRun)


class WhatToDo(admin.SimpleListFilter):
    title = "what to do"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action.replace(" ", "-"), action) for _, action in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> QuerySet[TrainingRun]:
        below: float | None = None
        scored = queryset.annotate(people_average=AVERAGE)
        for threshold, action in ACTIONS:
            if action.replace(" ", "-") == self.value():
                found = scored.filter(people_average__gte=threshold)
                return found if below is None else found.filter(people_average__lt=below)
            below = threshold
        return queryset


@admin.register(TrainingRun)
class EvaluatedRunAdmin(Baselines, TrainingRunAdmin):
    """The run's page with its epochs; `runs` knows nothing of them."""

    change_form_template = "admin/evaluation/trainingrun_change_form.html"
    acts = EVALUATED_RUN_ACTS
    list_display: tuple[Any, ...] = (
        "run_name",
        "status_badge",
        "verdict_badge",
        "best_average",
        "what_to_do",
        "epochs_scored",
        *TrainingRunAdmin.list_display[3:],
    )
    list_filter: ClassVar[Any] = (WhatToDo, *TrainingRunAdmin.list_filter)
    criterion_measures = criteria.CHOICES

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        facts: dict[str, Any] = {}
        if run is not None:
            may_score = request.user.has_perm(SCORE)
            epochs = self.admin_site.get_model_admin(EpochResult)
            cards = cards_of(run)
            compared = full_comparison.latest(run)
            for card in cards:
                if card.result is not None and isinstance(epochs, ActsAdmin):
                    card.acts = epochs.offers(request, card.result)
            trend = convergence.for_run(run, [card.result for card in cards if card.result])
            plan, captions = run_facts.plan_of(run), run_facts.captions_of(run)
            other = self._other(request, plan)
            facts = {
                "checklists": self.checklists(
                    run, cards, captions, trend.best_epoch, may_close=request.user.has_perm(TRAIN)
                ),
                "suites": _suites(cards),
                "plan": plan,
                "captions": captions,
                "criterion": criteria.sentence(plan) if plan and plan.measure else "",
                "other_runs": TrainingRun.objects.exclude(pk=run.pk).values_list("pk", "run_name")[:MOST_OTHERS],
                "difference": difference_of(run, other) if other and other.pk != run.pk else None,
                "cards": [
                    (card, _score_form(card.result, request.user) if card.result and may_score else None)
                    for card in cards
                ],
                "trend": trend,
                "traits": epochs_measured.trait_matrix(run),
                "comparison": full_comparison.progress(compared) if compared else None,
            }
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        return super().get_queryset(request).annotate(people_average=AVERAGE, n_scored=N_SCORED)

    @admin.display(description="best average", ordering=Coalesce("people_average", Value(-1.0)))
    def best_average(self, run: TrainingRun) -> str:
        average: float | None = run.people_average  # type: ignore[attr-defined]
        return "–" if average is None else f"{average:.1f}"

    @admin.display(description="what to do", ordering=Coalesce("people_average", Value(-1.0)))
    def what_to_do(self, run: TrainingRun) -> str:
        return action_for(run.people_average)  # type: ignore[attr-defined]

    @admin.display(description="epochs scored", ordering="n_scored")
    def epochs_scored(self, run: TrainingRun) -> int:
        n: int = run.n_scored  # type: ignore[attr-defined]
        return n

    def checklists(
        self,
        run: TrainingRun,
        cards: Sequence[Card],
        captions: run_facts.Captions,
        best: int | None,
        *,
        may_close: bool,
    ) -> list[Checklist]:
        """The run's checklists; `deployment` adds what follows."""
        return checklists(run, cards, captions, best, may_close=may_close)

    def _other(self, request: HttpRequest, plan: RunPlan | None) -> TrainingRun | None:
        """The run to set beside: the one asked for, else the parent."""
        asked = request.GET.get("against", "")
        if asked.isdecimal() and len(asked) < 10:
            return TrainingRun.objects.filter(pk=asked).first()
        return plan.parent if plan else None


def _suites(cards: Sequence[Card]) -> list[tuple[SuiteRule, Choice]]:
    """What the rules give the run's epochs on this machine; nothing where none can be drawn."""
    checkpoint = next((card.checkpoint for card in cards if card.checkpoint), None)
    try:
        return choices_for(checkpoint) if checkpoint else []
    except SuiteError:
        return []


def _score_form(result: EpochResult, reviewer: Any) -> ScoreForm:
    return ScoreForm(result=result, own=voices.of(reviewer, result.score_entries.all()))
