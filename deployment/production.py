"""The last of the lab's checklists for a run: what is done once one of its epochs is production ready."""

from __future__ import annotations

from django.urls import reverse

from deployment.models import Release, Verification
from evaluation.checklists import Checklist, Item
from runs.models import TrainingRun


def production_checklist(run: TrainingRun) -> Checklist:
    """Released, tested, documented, the former release retired. Two queries."""
    releases = list(Release.objects.filter(checkpoint__run=run).order_by("-released_at"))
    verified = Verification.objects.filter(test_render__checkpoint__run=run, matches=True).exists()
    lists = (("releases", reverse("admin:deployment_release_changelist")),)
    live = next((release for release in releases if release.is_live), None)
    described = next((release for release in releases if release.reason.strip()), None)
    former = Release.objects.filter(retired_at__isnull=False)
    items = [
        Item(
            text="Generator draws with it",
            done=live is not None,
            detail="it is live" if live else "it was live before" if releases else "promote its best epoch",
            links=lists,
        ),
        Item(text="Drawn again and found the same", done=verified, detail="" if verified else "verify the epoch"),
        Item(text="Documented", done=described is not None, detail=described.reason if described else ""),
        Item(text="Old model archived", done=live is not None, detail=_archived(former.count()), links=lists),
    ]
    return Checklist(title="If production ready", items=items)


def _archived(n: int) -> str:
    return f"{n} former release{'' if n == 1 else 's'} kept, to roll back to"
