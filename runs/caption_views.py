"""The caption workbench: a version's captions as they stand, and one of them beside its picture to work on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from punklab.roles import role_for
from runs import lab_reviews
from runs.caption_edits import CaptionEditError, StaleEditError, save, undo
from runs.caption_findings import Known, find_in, known_findings
from runs.caption_models import CaptionEdit
from runs.caption_pairs import PairError
from runs.caption_palette import look
from runs.caption_shown import Checked, Filter
from runs.caption_states import State, counts_of, state_of, states
from runs.caption_text import diff
from runs.lab_reviews import LabReviewError
from runs.models import Caption, CaptionVersion, TrainingImage

VIEW, EDIT = "runs.view_captionversion", "runs.change_captionversion"
PER_PAGE = 100
_MOST_VERSIONS = 20

_DONE = {"approve": "Approved", "skip": "Skipped", "save": "Saved", "undo": "Back to the step before:"}


@require_safe
@permission_required(VIEW, raise_exception=True)
def captions(request: HttpRequest, pk: int) -> HttpResponse:
    """All captions of a version with their state and findings."""
    version = get_object_or_404(CaptionVersion, pk=pk)
    found = states(version)
    context: dict[str, Any] = {"is_list": True, "found": found, "counts": counts_of(found)}
    if found:
        known = known_findings(version)
        chosen = Filter.of(request.GET)
        rows = [(state, state.findings(known)) for state in found]
        codes = Counter(code for _, findings in rows for code in {each.code for each in findings})
        shown = [(state, findings) for state, findings in rows if chosen.fits(state, known)]
        context |= {
            "known": known,
            "chosen": chosen,
            "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("page")),
            "codes": sorted(codes.items()),
            "n_changed": sum(state.is_changed for state in found),
            "n_taken": sum(state.is_taken for state in found),
            "batches": version.batches.select_related("by", "undone_by")[:8],
            "lab": lab_reviews.is_there(),
        }
    return TemplateResponse(request, "runs/captions.html", page_of(request, version, "Caption workbench", **context))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def caption(request: HttpRequest, pk: int, stem: str) -> HttpResponse:
    """One caption on the workbench; a POST takes a step with it and goes on."""
    version = get_object_or_404(CaptionVersion, pk=pk)
    state = _state(version, stem)
    draft: str | None = None
    problem = ""
    if request.method == "POST":
        require_edit(request)
        try:
            after = _act(request, version, state)
        except (CaptionEditError, LabReviewError) as error:
            if request.POST.get("act") == "autosave":
                state = _state(version, stem)
                return JsonResponse({"problem": str(error), "stale": isinstance(error, StaleEditError)}, status=409)
            problem, draft = str(error), request.POST.get("text", "").replace("\r\n", "\n")
            state = _state(version, stem)
        else:
            if request.POST.get("act") == "autosave":
                return JsonResponse({"number": after.number, "status": after.status, "by": after.by})
            return HttpResponseRedirect(_onward(request, version, after))
    return _workbench(request, version, state, draft, problem)


@require_POST
@permission_required(VIEW, raise_exception=True)
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """What is to be said of a text that is being typed: a part of the workbench's page. Nothing is written."""
    require_edit(request)
    version = get_object_or_404(CaptionVersion, pk=pk)
    state = _state(version, request.POST.get("stem", ""))
    text = request.POST.get("text", "").replace("\r\n", "\n")
    known = known_findings(version)
    findings = find_in(known, state.stem, text, TrainingImage.objects.get(pk=state.image_id))
    checked = Checked(text, state.original, [*findings, *known.of_picture(state.stem)])
    return TemplateResponse(request, "runs/caption_checked.html", {"checked": checked, "version": version})


def page_of(request: HttpRequest, version: CaptionVersion | None, title: str, **context: Any) -> dict[str, Any]:
    """What every page on captions needs."""
    return {
        **admin.site.each_context(request),
        "title": title,
        "subtitle": str(version) if version else None,
        "version": version,
        "opts": CaptionVersion._meta,
        "may_edit": request.user.has_perm(EDIT),
        "edit_role": role_for(EDIT),
        **context,
    }


def require_edit(request: HttpRequest) -> User:
    """Return the person, who may edit captions. Raises PermissionDenied with the role that is needed."""
    if not request.user.has_perm(EDIT):
        raise PermissionDenied(f"Editing captions needs the role {role_for(EDIT)}.")
    assert isinstance(request.user, User)
    return request.user


def _state(version: CaptionVersion, stem: str) -> State:
    state = state_of(version, stem)
    if state is None:
        raise Http404(f"{version} has no caption of that name.")
    return state


def _act(request: HttpRequest, version: CaptionVersion, state: State) -> State:
    """Do what the pressed button says, and return how the caption then stands."""
    by = require_edit(request)
    act, number = request.POST.get("act", ""), _number(request.POST.get("number"))
    if act == "undo":
        return undo(version, state.stem, number=number, by=by)
    if act in ("theirs", "ours"):
        shown = request.POST.get("lab_row", "")
        if act == "theirs":
            lab_reviews.take_theirs(version, state, shown, by=by)
        else:
            lab_reviews.keep_ours(version, state, shown)
        return _state(version, state.stem)
    statuses = {
        "approve": CaptionEdit.Status.APPROVED,
        "skip": CaptionEdit.Status.SKIPPED,
        "save": None,
        "autosave": None,
    }
    if act not in statuses:
        raise CaptionEditError(f"There is no act {act!r} for a caption.")
    status = statuses[act]
    return save(
        version,
        state.stem,
        request.POST.get("text", ""),
        request.POST.get("corrections", ""),
        number=number,
        by=by,
        status=status.value if status else None,
    )


def _number(given: str | None) -> int:
    return int(given) if given and given.isdecimal() and len(given) < 10 else -1


def _onward(request: HttpRequest, version: CaptionVersion, state: State) -> str:
    """After approving and skipping the next caption that fits the filter and is not done; else the same again."""
    act = request.POST.get("act", "")
    chosen = Filter.of(request.GET)
    if act in _DONE:
        messages.success(request, f"{_DONE[act]} {state.stem}.")
    if act not in ("approve", "skip"):
        return _address(version, state.stem, chosen)
    known = known_findings(version)
    pending = (CaptionEdit.Status.APPROVED, CaptionEdit.Status.SKIPPED)
    later = [each for each in states(version) if each.stem > state.stem and chosen.fits(each, known)]
    following = next((each for each in later if chosen.status or each.status not in pending), None)
    if following is None:
        messages.info(request, "That was the last one of this list.")
        return f"{reverse('runs:captions', args=(version.pk,))}{chosen.query}"
    return _address(version, following.stem, chosen)


def _address(version: CaptionVersion, stem: str, chosen: Filter) -> str:
    return f"{reverse('runs:caption', args=(version.pk, stem))}{chosen.query}"


def _workbench(
    request: HttpRequest, version: CaptionVersion, state: State, draft: str | None, problem: str
) -> HttpResponse:
    known = known_findings(version)
    chosen = Filter.of(request.GET)
    everything = states(version)
    image = TrainingImage.objects.get(pk=state.image_id)
    text = state.text if draft is None else draft
    findings = state.findings(known)
    if text != state.text or not known.is_ready:
        findings = [*find_in(known, state.stem, text, image), *known.of_picture(state.stem)]
    context: dict[str, Any] = {
        "state": state,
        "draft": text,
        "problem": problem,
        "chosen": chosen,
        "counts": counts_of(everything),
        "n_captions": len(everything),
        "checked": Checked(text, state.original, findings),
        "stands": diff(text, state.text) if problem and text != state.text else [],
        "others": _others(version, state),
        "steps": CaptionEdit.objects.filter(version=version, stem=state.stem).select_related("by")[:12],
        "image": image,
        **_neighbours(version, state, everything, chosen, known),
        **_lab(state),
    }
    try:
        context["look"] = look(bytes(image.png))
    except PairError as error:
        context["no_look"] = f"The picture {error}."
    return TemplateResponse(
        request,
        "runs/caption.html",
        page_of(request, version, state.stem, **context),
        status=409 if problem else 200,
    )


def _neighbours(
    version: CaptionVersion, state: State, everything: list[State], chosen: Filter, known: Known
) -> dict[str, Any]:
    """Addresses of the captions before and after this one among those that fit the filter."""
    fitting = [each.stem for each in everything if chosen.fits(each, known)]
    before = [stem for stem in fitting if stem < state.stem]
    after = [stem for stem in fitting if stem > state.stem]
    return {
        "previous": _address(version, before[-1], chosen) if before else "",
        "next": _address(version, after[0], chosen) if after else "",
        "place": len(before) + 1,
        "n_fitting": len(fitting),
    }


def _others(version: CaptionVersion, state: State) -> list[dict[str, Any]]:
    """The captions of the same picture or name in all versions, each with how it differs from the text as it stands."""
    same = Caption.objects.filter(Q(stem=state.stem) | Q(image_id=state.image_id)).select_related("version")
    found = list(same.defer("image").order_by("version__version_name", "stem")[:_MOST_VERSIONS])
    return [
        {
            "caption": each,
            "is_this": each.version_id == version.pk and each.stem == state.stem,
            "diff": diff(state.text, each.text) if each.text != state.text else [],
        }
        for each in found
    ]


def _lab(state: State) -> dict[str, Any]:
    """The lab's row of the caption, where the database has its table."""
    try:
        row = lab_reviews.row_for(state.stem)
    except LabReviewError as error:
        return {"lab_problem": str(error)}
    return {"lab_row": row, "lab_digest": lab_reviews.digest(row)} if row else {}
