"""The console's pages of blind pairs: the tests, one to start, one to vote in, what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation import blind, blind_order
from evaluation.blind_common import standing
from evaluation.blind_models import BlindTest
from evaluation.blind_order import LEFT, RIGHT, BlindError
from evaluation.blind_results import results_of
from punklab.roles import REVIEWER, SCORE

VIEW = "evaluation.view_blindtest"
CONFLICT = 409
MOST_LOST = 5  # pictures that are gone, by name


@require_GET
@permission_required(VIEW, raise_exception=True)
def vote_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The pair that waits for this person's vote; who cannot vote sees the results."""
    test, person = _test(pk), _person(request)
    if not person.has_perm(SCORE) or test.withdrawn_at:
        return HttpResponseRedirect(reverse("evaluation:pairs_results", args=(pk,)))
    asked = request.GET.get("place", "")
    facts = _state(test, person, after=int(asked) - 1 if asked.isdecimal() and asked != "0" else 0)
    context = {
        **admin.site.each_context(request),
        "title": "Which is better?",
        "test": test,
        "state": facts,
        "has_looked": blind.has_looked(test, person),
    }
    return TemplateResponse(request, "evaluation/pairs_vote.html", context)


@require_GET
@permission_required(VIEW, raise_exception=True)
def picture(request: HttpRequest, pk: int, place: int, side: str) -> HttpResponse:
    """The picture that this person sees on that side of that place; nothing about it says whose it is."""
    test, person = _test(pk), _person(request)
    _refuse(person)
    if side not in (LEFT, RIGHT):
        raise Http404("A pair has a left and a right picture.")
    try:
        pair = blind_order.pair_at(test, place, person)
    except BlindError as error:
        raise Http404(str(error)) from error
    file = blind_order.shown(test, pair, side, person).finished_path
    try:
        assert file is not None
        data = file.read_bytes()
    except OSError as error:
        raise Http404("The picture is not on this machine.") from error
    return HttpResponse(data, content_type="image/png")  # `admin_view` says that it is not to be stored


@require_POST
@permission_required(VIEW, raise_exception=True)
def vote(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a vote and lead to the next pair."""
    test, person = _test(pk), _person(request)
    _refuse(person)
    given = request.POST.get("place", "")
    place = int(given) if given.isdecimal() and len(given) < 6 else 0
    problem = ""
    try:
        blind.vote(test, place, request.POST.get("said", ""), by=person)
    except BlindError as error:
        problem = str(error)
    return _answer(request, test, person, after=place, problem=problem)


@require_POST
@permission_required(VIEW, raise_exception=True)
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take this person's last vote back and lead to its pair."""
    test, person = _test(pk), _person(request)
    _refuse(person)
    try:
        return _answer(request, test, person, after=blind.undo(test, by=person) - 1)
    except BlindError as error:
        return _answer(request, test, person, problem=str(error))


@require_http_methods(["GET", "POST"])
@permission_required(VIEW, raise_exception=True)
def results(request: HttpRequest, pk: int) -> HttpResponse:
    """What the votes prove so far. A voter asks for it by POST, which ends their blindness."""
    test, person = _test(pk), _person(request)
    address = reverse("evaluation:pairs_results", args=(pk,))
    if request.method == "POST":
        blind.look(test, by=person)
        return HttpResponseRedirect(address)
    may_see = blind.may_see([test], person)
    others = [one for one in standing(test.checkpoint_a, test.checkpoint_b) if one.pk != pk] if may_see else []
    pooled = bool(others) and not test.withdrawn_at and blind.may_see(others, person)
    context = {
        **admin.site.each_context(request),
        "title": "Results of blind pairs",
        "test": test,
        "found": results_of([test], test.checkpoint_a, test.checkpoint_b) if may_see else None,
        "together": results_of([test, *others], test.checkpoint_a, test.checkpoint_b) if pooled else None,
        "others": others,
        "may_vote": person.has_perm(SCORE) and not test.withdrawn_at,
        "n_left": _n_left(test, person),
    }
    return TemplateResponse(request, "evaluation/pairs_results.html", context)


@require_POST
@permission_required(VIEW, raise_exception=True)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """End a test so that it no longer counts."""
    test, person = _test(pk), _person(request)
    _refuse(person)
    try:
        blind.withdraw(test, by=person, why=request.POST.get("why", ""))
    except BlindError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Test {pk} is withdrawn: its votes stay, and no longer count.")
    return HttpResponseRedirect(reverse("evaluation:pairs_results", args=(pk,)))


def _test(pk: int) -> BlindTest:
    rows = BlindTest.objects.select_related("checkpoint_a__run", "checkpoint_b__run", "by", "withdrawn_by")
    return get_object_or_404(rows, pk=pk)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _refuse(person: User) -> None:
    if not person.has_perm(SCORE):
        raise PermissionDenied(f"Comparing pictures needs the role {REVIEWER}.")


def _n_left(test: BlindTest, person: User) -> int:
    return test.pairs.count() - len(blind_order.voted(test, person))


def _state(test: BlindTest, person: User, *, after: int = 0) -> dict[str, Any]:
    """What the page shows next: a place with its prompt, the one after it, how far this person is, what cannot be shown."""
    order = blind_order.order_for(test, person)
    place = blind_order.next_place(test, person, after=after, order=order)
    following = blind_order.next_place(test, person, after=place, order=order) if place else None
    done = blind_order.voted(test, person)
    lost = (
        [fault for pair in order if pair.pk not in done and (fault := blind_order.fault_of(pair))] if not place else []
    )
    return {
        "place": place,
        "following": following if following != place else None,
        "prompt": order[place - 1].prompt if place else "",
        "n_done": len(done),
        "n_all": len(order),
        "lost": _few(list(dict.fromkeys(lost))),
    }


def _few(faults: list[str]) -> list[str]:
    more = len(faults) - MOST_LOST
    return [*faults[:MOST_LOST], f"And so it is with {more} more."] if more > 0 else faults


def _answer(request: HttpRequest, test: BlindTest, person: User, *, after: int = 0, problem: str = "") -> HttpResponse:
    """The next pair: as JSON for the page's script, else by the page itself."""
    if request.headers.get("Accept") == "application/json":
        facts = {**_state(test, person, after=after), "problem": problem}
        return JsonResponse(facts, status=CONFLICT if problem else 200)
    if problem:
        messages.error(request, problem)
    return HttpResponseRedirect(f"{reverse('evaluation:pairs_vote', args=(test.pk,))}?place={after + 1}")
