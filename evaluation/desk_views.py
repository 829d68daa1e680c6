"""The review desk's pages: one epoch after the other, drafts, undo, a word on each picture."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from evaluation import desk, drafts, picture_reviews, scoring, voices
from evaluation.baselines import baselines
from evaluation.forms import ScoreForm
from evaluation.gallery import render_picture
from evaluation.models import EpochResult, PictureReview, PromptTestResult, ScoreDraft, TestRender
from evaluation.picture_reviews import PictureReviewError, Word
from punklab.roles import REVIEWER, SCORE, VIEW_EPOCHS

_BLIND, _OTHERS_TOO = "desk_is_blind", "desk_shows_others"


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def review(request: HttpRequest) -> HttpResponse:
    """Lead to the next epoch that waits for this reviewer, after the one named by `after`; after the last say so."""
    keys = _waiting(request)
    after = request.GET.get("after", "")
    passed = next((place for place, key in enumerate(keys, start=1) if str(key) == after), 0)
    if following := keys[passed:]:
        return HttpResponseRedirect(_address(following[0], request.GET.get("saved", "")))
    context = {
        **admin.site.each_context(request),
        "title": "Review",
        "n_waiting": len(keys),
        "was_last": bool(after),
        "saved": _saved(request),
        "others_too": request.session.get(_OTHERS_TOO, False),
        "is_blind": request.session.get(_BLIND, False),
        "opts": EpochResult._meta,
    }
    return TemplateResponse(request, "evaluation/review_done.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW_EPOCHS, raise_exception=True)
def review_epoch(request: HttpRequest, pk: int) -> HttpResponse:
    """The desk of one epoch; a POST scores it and goes on."""
    result = get_object_or_404(EpochResult.objects.select_related("training_run"), pk=pk)
    reviewer = _person(request)
    may_score = reviewer.has_perm(SCORE)
    draft = ScoreDraft.objects.filter(epoch_result=result, by=reviewer).first() if may_score else None
    own = voices.of(reviewer, result.score_entries.all())
    form = ScoreForm(
        request.POST if request.method == "POST" else None,
        result=result,
        own=own,
        draft=draft.fields if draft else None,
    )
    if request.method == "POST":
        _refuse_onlooker(request)
        keys = _waiting(request)
        if form.is_valid() and _score(request, result, form):
            drafts.discard(result, by=reviewer)
            return HttpResponseRedirect(_next_page(request, result, keys))
    return TemplateResponse(request, "evaluation/desk.html", _context(request, result, form, draft))


@require_POST
@permission_required(SCORE, raise_exception=True)
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep what is typed as a draft; 409 with a sentence when another window was faster, 404 when the epoch is gone."""
    result = EpochResult.objects.filter(pk=pk).first()
    if result is None:
        return JsonResponse({"problem": "This epoch was deleted meanwhile: nothing can be kept for it."}, status=404)
    fields = {name: request.POST.getlist(name) for name in ScoreForm.base_fields if name in request.POST}
    try:
        kept = drafts.keep(result, fields, by=_person(request), seen=request.POST.get("seen", ""))
    except drafts.DraftError as error:
        return JsonResponse({"problem": str(error)}, status=409)
    return JsonResponse({"version": drafts.version(kept.saved_at) if kept else ""})


@require_POST
@permission_required(SCORE, raise_exception=True)
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the draft and show the desk without it."""
    drafts.discard(get_object_or_404(EpochResult, pk=pk), by=_person(request))
    return HttpResponseRedirect(_address(pk))


@require_POST
@permission_required(SCORE, raise_exception=True)
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one's latest scores of an epoch back, put them into its draft, and show its desk."""
    result = get_object_or_404(EpochResult, pk=pk)
    reviewer = _person(request)
    try:
        taken_back = scoring.withdraw(result, by=reviewer)
    except scoring.ScoringError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(_address(pk))
    found = ScoreForm(result=result, own=taken_back).initial
    fields = {name: list(map(str, value)) if isinstance(value, list) else [str(value)] for name, value in found.items()}
    fields["no_issues"] = ["on"] if found["no_issues"] else []
    drafts.discard(result, by=reviewer)
    drafts.keep(result, fields, by=reviewer, seen="")
    messages.success(request, "Your scores are taken back; they wait here as a draft.")
    return HttpResponseRedirect(_address(pk))


@require_POST
@permission_required(SCORE, raise_exception=True)
def picture_review(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a reviewer's word on a picture, sent as JSON; what is wrong with it comes back as sentences."""
    result = PromptTestResult.objects.filter(pk=pk).first()
    if result is None:
        return JsonResponse({"problem": "This picture's row was deleted meanwhile."}, status=404)
    try:
        word = Word.read(json.loads(request.body))
    except (ValueError, UnicodeDecodeError):
        return JsonResponse({"problem": "This is no JSON."}, status=400)
    except PictureReviewError as error:
        return JsonResponse({"problem": str(error)}, status=400)
    row = picture_reviews.review(result, word, by=_person(request))
    return JsonResponse({"passed": row.passed, "score": row.score, "observations": row.observations})


@require_safe
@permission_required(VIEW_EPOCHS, raise_exception=True)
def picture_measures(request: HttpRequest, pk: int) -> HttpResponse:
    """A piece of HTML: what was measured of a test picture."""
    render: TestRender = get_object_or_404(TestRender.objects.select_related("test_prompt"), pk=pk)
    return TemplateResponse(request, "admin/evaluation/measured.html", {"picture": render_picture(render)})


@require_POST
@permission_required(VIEW_EPOCHS, raise_exception=True)
def mode(request: HttpRequest) -> HttpResponse:
    """Switch blind mode, or which epochs the desk leads to, for this log-in; back to where one was."""
    for name, key in (("blind", _BLIND), ("others", _OTHERS_TOO)):
        if name in request.POST:
            request.session[key] = request.POST[name] == "on"
    at = request.POST.get("at", "")
    return HttpResponseRedirect(_address(int(at)) if at.isdecimal() and len(at) < 10 else reverse("evaluation:review"))


def _context(request: HttpRequest, result: EpochResult, form: ScoreForm, kept: ScoreDraft | None) -> dict[str, Any]:
    reviewer = _person(request)
    is_blind = request.session.get(_BLIND, False)
    live = next(iter(baselines()), None)
    shown = desk.desk_of(result, reviewer, live, is_blind=is_blind)
    keys = _waiting(request)
    following = keys[keys.index(result.pk) + 1 :] if result.pk in keys else keys
    return {
        **admin.site.each_context(request),
        "title": "Score an epoch, blind" if is_blind else f"Score {result}",
        "result": result,
        "desk": shown,
        "facts": shown.to_json(reviewer),
        "form": form,
        "rows": [(name, form[name], shown.suggested.get(name)) for name in ("visual", "style", "prompt")],
        "scale": [str(n) for n in range(11)],
        "kinds": PictureReview.Defect.choices,
        "may_score": reviewer.has_perm(SCORE),
        "draft": kept if request.method != "POST" else None,
        "draft_version": drafts.version(kept.saved_at) if kept else "",
        "n_waiting": len(keys),
        "waits": result.pk in keys,
        "next_pictures": desk.next_pictures(following[0]) if following else [],
        "saved": _saved(request),
        "is_blind": is_blind,
        "others_too": request.session.get(_OTHERS_TOO, False),
        "opts": EpochResult._meta,
    }


def _score(request: HttpRequest, result: EpochResult, form: ScoreForm) -> bool:
    given = form.cleaned_data
    is_blind = request.session.get(_BLIND, False) and request.POST.get("blind") == "on"
    try:
        row = scoring.score(
            result,
            given["visual"],
            given["style"],
            given["prompt"],
            given["observations"],
            by=_person(request),
            issues=given["issues"],
            strengths=given["strengths"],
            accepted=given["accepted"],
            is_blind=is_blind,
        )
    except scoring.ScoringError as error:
        form.add_error(None, error.problems)
        return False
    messages.success(request, _told(row, _person(request)))
    return True


def _told(row: EpochResult, reviewer: User) -> str:
    """What was given and what it makes together with others' scores; after a blind scoring it tells which epoch it was."""
    heard = voices.standing(row.score_entries.select_related("by"))
    scores = {entry.by: ", ".join(f"{getattr(entry, name):g}" for name in row.SCORES) for entry in heard}
    others = "; ".join(f"{by or 'somebody'}: {given}" for by, given in scores.items() if by != reviewer)
    verdict = f"so {row.verdict}" if row.verdict else voices.disagreement(heard)
    return f"{row}: {scores[reviewer]}, {verdict}.".replace("..", ".") + (f" Others gave {others}." if others else "")


def _saved(request: HttpRequest) -> EpochResult | None:
    """The epoch that was scored just now, for undo; None where the reviewer has no scores there that stand."""
    key = request.GET.get("saved", "")
    row = EpochResult.objects.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 10 else None
    return row if row and voices.of(_person(request), row.score_entries.all()) else None


def _waiting(request: HttpRequest) -> list[int]:
    return desk.waiting(
        _person(request),
        is_blind=request.session.get(_BLIND, False),
        others_too=request.session.get(_OTHERS_TOO, False),
    )


def _next_page(request: HttpRequest, result: EpochResult, keys: list[int]) -> str:
    if request.POST.get("back") == "run" and result.training_run_id:
        return f"{reverse('admin:runs_trainingrun_change', args=(result.training_run_id,))}#epoch-{result.epoch_number}"
    later = keys[keys.index(result.pk) + 1 :] if result.pk in keys else []
    if later:
        return _address(later[0], str(result.pk))
    return f"{reverse('evaluation:review')}?{urlencode({'saved': result.pk})}"


def _address(key: int, saved: str = "") -> str:
    address = reverse("evaluation:review_epoch", args=(key,))
    return f"{address}?{urlencode({'saved': saved})}" if saved else address


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _refuse_onlooker(request: HttpRequest) -> None:
    if not request.user.has_perm(SCORE):
        raise PermissionDenied(f"Scoring needs the role {REVIEWER}.")
