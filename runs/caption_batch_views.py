"""The caption workbench's acts on many captions: replace, safe fixes, undo, a new version, the lab's table, a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from runs import lab_reviews
from runs.caption_edits import Applied, CaptionEditError, Change, apply, listed, undo_batch
from runs.caption_fixes import Search, SearchError, replaced, safe_fixes
from runs.caption_models import CaptionBatch
from runs.caption_revision import last_edit, make_version
from runs.caption_states import states
from runs.caption_text import diff as diff_of
from runs.caption_views import VIEW, page_of, require_edit
from runs.lab_reviews import LabReviewError
from runs.models import Caption, CaptionVersion

_MOST_DIFFS = 100


class SearchForm(forms.Form):
    find = forms.CharField(label="Find", strip=False, max_length=500)
    replacement = forms.CharField(label="Replace with", strip=False, required=False, max_length=2000)
    whole_words = forms.BooleanField(label="Whole words only", required=False)
    match_case = forms.BooleanField(label="Upper and lower case as typed", required=False)
    is_regex = forms.BooleanField(label="Regular expression", required=False)


class VersionForm(forms.Form):
    name = forms.CharField(label="Name of the new version", max_length=200)
    notes = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What was changed and why. Empty: the source and the number of captions that were edited.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def replace(request: HttpRequest, pk: int) -> HttpResponse:
    """Preview a search and replace across a version; a POST writes the chosen changes as edits, in one batch."""
    version = get_object_or_404(CaptionVersion, pk=pk)
    require_edit(request)
    given = request.POST if request.method == "POST" else request.GET
    form = SearchForm(given if "find" in given else None)
    changes: list[Change] = []
    if form.is_valid():
        search = Search(**form.cleaned_data)
        try:
            changes = replaced(states(version), search)
        except SearchError as error:
            form.add_error(None, str(error))
        if request.method == "POST" and changes:
            words = f"replaced “{search.find}” by “{search.replacement}”"
            return _apply(request, version, changes, words)
    return _preview(request, version, "Replace", changes, form=form, is_searched=form.is_bound and form.is_valid())


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def fixes(request: HttpRequest, pk: int) -> HttpResponse:
    """Preview the fixes that cannot change what a caption says; a POST writes the chosen ones as edits."""
    version = get_object_or_404(CaptionVersion, pk=pk)
    require_edit(request)
    changes = safe_fixes(states(version))
    if request.method == "POST":
        return _apply(request, version, changes, "safe fixes")
    return _preview(request, version, "Safe fixes", changes, is_searched=True)


@require_POST
@permission_required(VIEW, raise_exception=True)
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a whole batch back."""
    by = require_edit(request)
    given = request.POST.get("batch", "")
    batch = get_object_or_404(CaptionBatch, pk=given if given.isdecimal() and len(given) < 18 else 0, version_id=pk)
    try:
        done = undo_batch(batch, by=by)
    except CaptionEditError as error:
        messages.error(request, str(error))
    else:
        _tell(request, done, "taken back", "the batch")
    return HttpResponseRedirect(reverse("runs:captions", args=(pk,)))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def version(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a new version of the approved and edited captions and the rest as it is."""
    source = get_object_or_404(CaptionVersion, pk=pk)
    by = require_edit(request)
    form = VersionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        seen = request.POST.get("seen", "")
        try:
            made = make_version(
                source,
                form.cleaned_data["name"],
                form.cleaned_data["notes"],
                seen=int(seen) if seen.isdecimal() and len(seen) < 18 else -1,
                by=by,
            )
        except CaptionEditError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{made} is made of {source}: {made.num_caption_files} captions.")
            return HttpResponseRedirect(reverse("runs:captions", args=(made.pk,)))
    # The last edit is asked for first: one that comes between the two makes the person look again, never the reverse.
    seen_now = last_edit(source)
    found = states(source)
    context = {
        "form": form,
        "seen": seen_now,
        "taken": [(state, diff_of(state.original, state.text)) for state in found if state.is_taken][:_MOST_DIFFS],
        "n_taken": sum(state.is_taken for state in found),
        "n_captions": len(found),
        "left_out": [state for state in found if state.is_changed and not state.is_taken],
    }
    page = page_of(request, source, "A new version from the edits", **context)
    return TemplateResponse(request, "runs/captions_version.html", page, status=409 if form.errors else 200)


@require_POST
@permission_required(VIEW, raise_exception=True)
def reviews(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the lab's table caption_reviews into the work on a version, or write it back."""
    version = get_object_or_404(CaptionVersion, pk=pk)
    by = require_edit(request)
    try:
        if request.POST.get("act") == "import":
            said = lab_reviews.bring_in(version, by=by).sentences("taken over")
        elif request.POST.get("act") == "write":
            said = lab_reviews.write_back(version).sentences("written")
        else:
            raise Http404("There is no such act.")
    except (LabReviewError, CaptionEditError) as error:
        messages.error(request, str(error))
    else:
        for sentence in said[:1]:
            messages.success(request, sentence)
        for sentence in said[1:]:
            messages.warning(request, sentence)
    return HttpResponseRedirect(reverse("runs:captions", args=(pk,)))


@require_safe
@permission_required(VIEW, raise_exception=True)
def diff(request: HttpRequest) -> HttpResponse:
    """Two versions side by side: the captions that differ, word by word, and those that only one has."""
    versions = list(CaptionVersion.objects.filter(captions__isnull=False).distinct())
    by_pk = {str(each.pk): each for each in versions}
    first, second = (by_pk.get(request.GET.get(name, "")) for name in ("a", "b"))
    context: dict[str, Any] = {"versions": versions, "first": first, "second": second}
    if first and second:
        before, after = (
            dict(Caption.objects.filter(version=each).values_list("stem", "text")) for each in (first, second)
        )
        both = sorted(before.keys() & after.keys())
        differing = [stem for stem in both if before[stem] != after[stem]]
        page = Paginator(differing, _MOST_DIFFS).get_page(request.GET.get("page"))
        context |= {
            "page": page,
            "rows": [(stem, diff_of(before[stem], after[stem])) for stem in page.object_list],
            "n_differing": len(differing),
            "n_same": len(both) - len(differing),
            "only_first": sorted(before.keys() - after.keys()),
            "only_second": sorted(after.keys() - before.keys()),
        }
    return TemplateResponse(
        request, "runs/captions_diff.html", page_of(request, first, "Compare two versions", **context)
    )


def _preview(
    request: HttpRequest, version: CaptionVersion, title: str, changes: Sequence[Change], **context: Any
) -> HttpResponse:
    context["changes"] = [(change, diff_of(change.before, change.after)) for change in changes]
    form = context.get("form")
    page = page_of(request, version, title, **context)
    return TemplateResponse(request, "runs/captions_preview.html", page, status=400 if form and form.errors else 200)


def _apply(request: HttpRequest, version: CaptionVersion, changes: Sequence[Change], words: str) -> HttpResponse:
    """Write those changes that were chosen in the preview and still are what was shown there."""
    by = require_edit(request)
    chosen = set(request.POST.getlist("change"))
    now = {f"{change.number}:{change.stem}" for change in changes}
    outdated = sorted(each.partition(":")[2] for each in chosen - now)
    try:
        done = apply(version, [each for each in changes if f"{each.number}:{each.stem}" in chosen], words, by=by)
    except CaptionEditError as error:
        messages.error(request, str(error))
    else:
        done = Applied(batch=done.batch, n_changed=done.n_changed, left=sorted({*done.left, *outdated}))
        _tell(request, done, "changed", "the preview")
    return HttpResponseRedirect(reverse("runs:captions", args=(version.pk,)))


def _tell(request: HttpRequest, done: Applied, verb: str, since: str) -> None:
    messages.success(request, f"{done.n_changed} caption{'s' if done.n_changed != 1 else ''} {verb}.")
    if done.left:
        messages.warning(request, f"Left alone, because they were changed after {since}: {listed(done.left)}.")
