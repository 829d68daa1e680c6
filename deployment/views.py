"""The public pages: choose a punk, wait for it, have it.

Queries: the form 1, an accepted wish 5 in one transaction, a permalink and its status 1 or 2, a picture 1.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

import numpy as np
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deployment.forms import TITLES, PunkForm, sketch
from deployment.generation import WAITING, GenerationError, NothingLiveError, QueueFullError, accept, position
from deployment.headers import public
from deployment.models import Generation, Release
from deployment.traits import ChoiceError, Traits
from evaluation.renderjob import Status
from punklab.pixels.grid import SIDE, enlarge

SIZES = (24, 240, 480, 960)  # pixels: whole multiples of the 24x24
FOREVER = "public, max-age=31536000, immutable"
# What visitors hear; the row's own message names files and machines and is for the console.
FAULTS = {
    Status.FAILED: "The model that is live could not draw this one. Other choices may work.",
    Status.ERRORED: "The lab's machine failed while it was being drawn. The lab can see why; please try again.",
    Status.CANCELLED: "The lab took it off the queue before it was drawn.",
}
COME_BACK = 60  # seconds, when the queue is full


@public
@require_http_methods(["GET", "HEAD", "POST"])
def generator(request: HttpRequest) -> HttpResponse:
    """The form; a POST queues a punk and leads to its permalink."""
    release = Release.objects.live()
    if release is None:
        return _unavailable(request, NothingLiveError("No model is live yet."))
    traits = Traits.from_json(release.traits)
    if request.method == "POST":
        return _accepted(request, PunkForm(traits, request.POST.dict()), release)
    return _form(request, PunkForm(traits, initial=_offered(traits, request.GET.dict())), release)


@public
@require_safe
def punk(request: HttpRequest, key: UUID) -> HttpResponse:
    """A punk's permalink: its place in the queue, then the picture with all that made it."""
    row = _find(key)
    if row is None:
        return render(request, "deployment/missing.html", status=404)
    waits = row.status in WAITING
    page = {
        "punk": row,
        "release": row.release,
        "waits": waits,
        "text": _told(row) if waits else "",
        "fault": FAULTS.get(Status(row.status), ""),
        "picture_lost": row.status == Status.RENDERED and not _has_picture(row),
        "drawn": row.status == Status.RENDERED,
        "title": _title(row),
        "choices": [(title, row.choices[kind]) for kind, title in TITLES.items() if kind in row.choices],
        "alt": ", ".join(row.choices[kind] for kind in TITLES if kind != "punk" and kind in row.choices),
        "sketch": sketch(Traits.from_json(row.release.traits), row.choices),
        "change": urlencode(row.choices | {"seed": row.seed}),
        "sizes": [size for size in SIZES if size != SIDE],
    }
    response = render(request, "deployment/punk.html", page)
    response.headers["Cache-Control"] = "no-store" if waits else "no-cache"
    return response


@public
@require_safe
def punk_status(request: HttpRequest, key: UUID) -> JsonResponse:
    """Where a punk is: {"status", "position", "text", "done"}."""
    row = _find(key)
    if row is None:
        return JsonResponse(
            {"status": "missing", "position": 0, "text": "There is no such punk.", "done": True}, status=404
        )
    place = position(row)
    found = {"status": row.status, "position": place, "text": _told(row, place), "done": row.status not in WAITING}
    return JsonResponse(found, headers={"Cache-Control": "no-store"})


@public
@require_safe
def punk_png(request: HttpRequest, key: UUID) -> HttpResponse:
    """The finished 24x24, or one of its enlargements with `?size=`."""
    row = _find(key)
    path = row.finished_path if row else None
    if row is None or path is None or row.status != Status.RENDERED:
        raise Http404("no such picture")
    size = request.GET.get("size", str(SIDE))
    if size not in map(str, SIZES):
        return HttpResponse(f"size must be one of {', '.join(map(str, SIZES))}", status=400, content_type="text/plain")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Http404("the picture's file is gone") from error
    if size != str(SIDE):
        content = _enlarged(content, int(size) // SIDE)
    return HttpResponse(
        content,
        content_type="image/png",
        headers={
            "Cache-Control": FOREVER,
            "Content-Disposition": f'inline; filename="punk-{str(key)[:8]}-{size}.png"',
        },
    )


def _accepted(request: HttpRequest, form: PunkForm, release: Release) -> HttpResponse:
    surprised = "surprise" in request.POST
    if not form.is_valid() and (not surprised or "seed" in form.errors):
        return _form(request, form, release, status=422)
    try:
        if surprised:
            row = accept(form.surprise(), form.cleaned_data["seed"])
        else:
            row = accept(form.choices, form.cleaned_data["seed"])
    except ChoiceError as error:
        form.add_error(None, str(error))
        return _form(request, form, release, status=422)
    except GenerationError as error:
        return _unavailable(request, error, form)
    return redirect("deployment:punk", key=row.key)


def _form(request: HttpRequest, form: PunkForm, release: Release, status: int = 200) -> HttpResponse:
    page = {"form": form, "release": release, "refused": status != 200}
    return render(request, "deployment/generator.html", page, status=status)


def _unavailable(request: HttpRequest, error: GenerationError, form: PunkForm | None = None) -> HttpResponse:
    """What visitors see while nothing is live (an ordinary page until they send a wish), or the queue is full."""
    full = isinstance(error, QueueFullError)
    page = {"full": full, "error": str(error), "wish": form.data if form and full else None}
    status = 200 if request.method in ("GET", "HEAD") else 503
    response = render(request, "deployment/unavailable.html", page, status=status)
    if status == 503:
        response.headers["Retry-After"] = str(COME_BACK)
    response.headers["Cache-Control"] = "no-store"
    return response


def _offered(traits: Traits, query: Mapping[str, str]) -> dict[str, str]:
    """A query's choices that are still on offer, to fill the form with; empty when it names none."""
    known = {kind: phrase for kind, phrase in query.items() if traits.find(kind, phrase)}
    seed = query.get("seed", "")
    return known | ({"seed": seed} if known and seed.isdecimal() else {})


def _find(key: UUID) -> Generation | None:
    return Generation.objects.select_related("release__checkpoint__run").filter(key=key).first()


def _has_picture(row: Generation) -> bool:
    return row.finished_path is not None and row.finished_path.is_file()


def _told(row: Generation, place: int | None = None) -> str:
    """What a visitor hears while waiting, in one sentence."""
    if row.status == Status.RENDERING:
        return "Your punk is being drawn."
    if row.status != Status.QUEUED:
        return "Your punk is ready." if row.status == Status.RENDERED else "Your punk could not be drawn."
    place = position(row) if place is None else place
    return "Your punk is next." if place == 1 else f"{place - 1} before yours."


def _title(row: Generation) -> str:
    return f"{str(row.choices.get('punk', 'punk')).capitalize()} {str(row.key)[:4]}"


def _enlarged(png: bytes, factor: int) -> bytes:
    """The picture with each cell as a square of `factor` pixels, its metadata kept."""
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        info = PngInfo()
        for name, value in image.info.items():
            if isinstance(name, str) and isinstance(value, str):
                info.add_text(name, value)
        picture = enlarge(np.asarray(image.convert("RGB")), factor)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
