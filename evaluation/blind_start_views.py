"""The console's pages that lead to blind pairs: all tests, and one to start a test of an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from evaluation import blind, suite
from evaluation.blind_common import drawn_by
from evaluation.blind_models import BlindTest, Vote
from evaluation.blind_order import BlindError
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from evaluation.results import checkpoint_of
from punklab.roles import REVIEWER, SCORE, TRAIN
from runs.models import Checkpoint

VIEW = "evaluation.view_blindtest"
MOST_TESTS = 100  # on the page; the admin's list has all


class RivalField(forms.ModelChoiceField[Checkpoint]):
    """A choice of checkpoints, each with how many pairs it would make."""

    n_pairs: Mapping[int, int]

    def label_from_instance(self, obj: Any) -> str:
        n = self.n_pairs[obj.pk]
        return f"{obj} ({n} pair{'' if n == 1 else 's'})"


class StartForm(forms.Form):
    """Which checkpoint to compare with: those that drew the same prompts and seeds."""

    rival = RivalField(
        Checkpoint.objects.none(),
        label="Compare with",
        empty_label=None,
        error_messages={
            "required": "Choose what to compare with.",
            "invalid_choice": "That one has no picture of the same prompt and seed: choose another.",
        },
    )
    note = forms.CharField(required=False, max_length=500, help_text="What you want to know, if you like.")

    def __init__(self, data: Any, rivals: Mapping[int, int]) -> None:
        super().__init__(data)
        field = self.fields["rival"]
        assert isinstance(field, RivalField)
        field.n_pairs = rivals
        field.queryset = Checkpoint.objects.filter(pk__in=rivals).select_related("run")


class SeedsForm(forms.Form):
    seeds = forms.IntegerField(
        min_value=1,
        max_value=suite.MOST_SEEDS,
        initial=5,
        label="Further seeds",
        help_text="Each draws the whole suite.",
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def pairs(request: HttpRequest) -> HttpResponse:
    """The tests, the newest first, with how far this person is in each."""
    assert isinstance(request.user, User)
    tests = BlindTest.objects.select_related("checkpoint_a__run", "checkpoint_b__run", "by", "withdrawn_by")
    shown = list(tests.annotate(n_pairs=Count("pairs"))[:MOST_TESTS])
    mine = Vote.objects.filter(by=request.user, withdrawn_at=None, pair__test__in=shown)
    voted = dict(mine.order_by().values_list("pair__test").annotate(n=Count("pk")))
    context = {
        **admin.site.each_context(request),
        "title": "Blind pairs",
        "tests": [(test, voted.get(test.pk, 0)) for test in shown],
        "may_vote": request.user.has_perm(SCORE),
    }
    return TemplateResponse(request, "evaluation/pairs.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose what an epoch is compared with; a POST begins the test, or queues further seeds of both."""
    assert isinstance(request.user, User)
    result = get_object_or_404(EpochResult.objects.select_related("training_run"), pk=pk)
    checkpoint = checkpoint_of(result)
    if not request.user.has_perm(SCORE):
        raise PermissionDenied(f"Comparing pictures needs the role {REVIEWER}.")
    rivals = rivals_of(checkpoint) if checkpoint else {}
    posted = request.POST if request.method == "POST" else None
    form = StartForm(posted, rivals)
    seeds_form = SeedsForm(posted if posted and "draw" in posted else None)
    if checkpoint is not None and form.is_valid():
        rival = form.cleaned_data["rival"]
        wants_seeds = seeds_form.is_bound
        done = (_draw if wants_seeds else _start)(request, seeds_form if wants_seeds else form, checkpoint, rival)
        if done is not None:
            return done
    context = {
        **admin.site.each_context(request),
        "title": "Compare blind",
        "result": result,
        "checkpoint": checkpoint,
        "form": form,
        "seeds_form": seeds_form,
        "n_rivals": len(rivals),
        "may_draw": request.user.has_perm(TRAIN),
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "evaluation/pairs_start.html", context)


def rivals_of(checkpoint: Checkpoint) -> dict[int, int]:
    """The checkpoints that drew the same prompts and seeds, by key, each with how many. Two queries."""
    ours = drawn_by(checkpoint)
    prompts = {prompt for prompt, _ in ours}
    drawn = TestRender.objects.filter(Q(test_prompt__in=prompts) & ~Q(finished=""), status=Status.RENDERED)
    theirs = drawn.exclude(checkpoint=checkpoint).values_list("checkpoint", "test_prompt", F("request__seed"))
    return dict(Counter(pk for pk, prompt, seed in theirs.order_by().distinct() if (prompt, seed) in ours))


def _start(request: HttpRequest, form: forms.Form, checkpoint: Checkpoint, rival: Checkpoint) -> HttpResponse | None:
    assert isinstance(request.user, User)
    try:
        test = blind.start(checkpoint, rival, by=request.user, note=form.cleaned_data["note"])
    except BlindError as error:
        form.add_error(None, str(error))
        return None
    return HttpResponseRedirect(reverse("evaluation:pairs_vote", args=(test.pk,)))


def _draw(request: HttpRequest, form: forms.Form, checkpoint: Checkpoint, rival: Checkpoint) -> HttpResponse | None:
    assert isinstance(request.user, User)
    if not form.is_valid():
        return None
    n_seeds = form.cleaned_data["seeds"]
    try:
        n_queued = sum(suite.queue_seeds(each, n_seeds, request.user) for each in (checkpoint, rival))
    except suite.SuiteError as error:
        form.add_error(None, str(error))
        return None
    told = f"{n_queued} pictures are queued" if n_queued else "Nothing was missing: all are drawn or queued already"
    messages.success(request, f"{told}, with {n_seeds} further seeds, for {checkpoint} and {rival}.")
    return HttpResponseRedirect(request.path)
