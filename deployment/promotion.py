"""To promote an epoch: what stands in the way, the verification before it, and the act itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from deployment import gate, tasks, verification, vocabulary
from deployment.judgement import Judged, Met, must_haves
from deployment.models import Release, Verification
from deployment.releases import ReleaseError, drawn_like, put_live
from deployment.traits import TRIGGER
from evaluation import verdicts, voices
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from evaluation.requests import request_for
from evaluation.results import checkpoint_of
from punklab.diffusion.base import BaseError
from punklab.diffusion.request import RenderRequest
from punklab.files import sha256_of
from punklab.roles import PROMOTE, role_for
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import CaptionVersion, Checkpoint, TrainingJob, TrainingRun
from runs.notes import with_line


class PromotionError(Exception):
    """An epoch that may not be promoted; `blockers` are sentences, all of them at once."""

    def __init__(self, blockers: list[str]) -> None:
        super().__init__(" ".join(blockers))
        self.blockers = blockers


def blockers(epoch_result: EpochResult, words: CaptionVersion | None = None) -> list[str]:
    """Every reason why this epoch may not be promoted, as sentences; an empty list when it may.

    Reads the LoRA file whole to check its SHA-256. `words` is the caption version whose phrases visitors would choose
    from, by default the run's.
    """
    return [*doubts(epoch_result), *faults(epoch_result, words)]


def doubts(epoch_result: EpochResult) -> list[str]:
    """What people, measures or the gate have against it: sentences that a publisher may override with a reason."""
    judged = Judged(epoch_result)
    return [*_score_doubts(epoch_result), *_judgement_doubts(judged), *_gate_doubts(judged)]


def faults(epoch_result: EpochResult, words: CaptionVersion | None = None) -> list[str]:
    """What makes a promotion impossible, whatever anybody says: sentences. Reads the LoRA file whole."""
    judged = Judged(epoch_result)
    checkpoint = judged.checkpoint
    return [
        *_score_faults(judged),
        *_base_blockers(epoch_result),
        *_word_blockers(epoch_result, words),
        *(_checkpoint_blockers(checkpoint) if checkpoint else [_no_checkpoint(epoch_result)]),
    ]


def request_verification(epoch_result: EpochResult, *, by: User | None) -> Verification:
    """Queue the verification that a promotion needs; return its row, the present one where one waits already.

    Raises PromotionError when there is no picture to draw again, PermissionDenied when `by` may not promote.
    """
    with transaction.atomic():
        row, made = begin_verification(epoch_result, by=by)
        if made:
            async_task(tasks.verify, row.pk, cluster=settings.TESTS_CLUSTER)
    return row


@transaction.atomic
def begin_verification(epoch_result: EpochResult, *, by: User | None) -> tuple[Verification, bool]:
    """The row of a verification that has yet to be drawn, and whether it is new. Raises as `request_verification`."""
    _refuse_stranger(by)
    checkpoint = checkpoint_of(epoch_result)
    render = verification.judged_render(checkpoint) if checkpoint else None
    if render is None:
        raise PromotionError([f"{epoch_result} has no rendered test picture: run `manage.py test_epoch` first."])
    TestRender.objects.select_for_update(no_key=True).get(pk=render.pk)
    last = verification.latest(render)
    if last and last.status in (Status.QUEUED, Status.RENDERING):
        return last, False
    try:
        expected = verification.sha256_of(render.finished_path)
    except verification.MissingPictureError as error:
        raise PromotionError([str(error)]) from error
    row = Verification.objects.create(test_render=render, request=render.request, expected_sha256=expected, by=by)
    return row, True


def promote(
    epoch_result: EpochResult, *, by: User | None, reason: str, words: CaptionVersion | None = None, override: str = ""
) -> Release:
    """Make the epoch's checkpoint live, retire what was, and mark epoch and run, in one transaction; the new release.

    `by` is None for whoever sits at the machine. `override` says why it goes live although people, measures or the gate
    have something against it; the release keeps it with what was overridden. Raises PromotionError with all blockers, or
    when another release went live at the same moment; PermissionDenied when `by` may not promote.
    """
    _refuse_stranger(by)
    against = doubts(epoch_result)
    found = [*([] if override.strip() else against), *faults(epoch_result, words)]
    if not reason.strip():
        found.append("A promotion needs a reason.")
    if found:
        raise PromotionError(found)
    release = _release_of(epoch_result, words)
    release.by, release.reason = by, reason.strip()
    release.overridden, release.override_reason = against, override.strip() if against else ""
    try:
        with transaction.atomic():
            row = EpochResult.objects.select_for_update().select_related(None).get(pk=epoch_result.pk)
            _refuse_changed(row, release)
            put_live(release)
            _mark(row, release)
    except ReleaseError as error:
        raise PromotionError([str(error)]) from error
    return release


def promote_base(*, by: User | None, reason: str, caption_version: CaptionVersion, is_demo: bool = False) -> Release:
    """Make the base model itself live, without a LoRA, with the words of a caption version; the new release.

    Raises ReleaseError when another release went live at the same moment, BaseError when the base is not here.
    """
    _refuse_stranger(by)
    base = base_for(settings.BASE_MODEL)
    checkpoint = base_alone(base)
    request = request_for(checkpoint, prompt=TRIGGER, seed=0)
    release = drawn_like(request, checkpoint, caption_version, vocabulary.of_version(caption_version))
    release.by, release.reason, release.is_demo = by, reason, is_demo
    return put_live(release)


def _score_faults(judged: Judged) -> Iterator[str]:
    if judged.result.average is None:
        yield "Nobody has scored it: it needs all three scores."
    elif judged.is_unattended and not judged.all_looked_at:
        looked, n = judged.looked_at
        given = "Its scores were taken over from the suggestion" if judged.heard else "Only a script has scored it"
        yield f"{given}: a person must score it, or look at every picture ({looked} of {n} looked at)."


def _score_doubts(epoch_result: EpochResult) -> Iterator[str]:
    average = epoch_result.average
    if average is not None and average < verdicts.PRODUCTION_AVERAGE:
        yield f"The average of its scores is {average:.1f}; it must be {verdicts.PRODUCTION_AVERAGE} or more."


def _judgement_doubts(judged: Judged) -> Iterator[str]:
    unmet = [item for item in must_haves(judged) if item.met == Met.NO]
    yield from (item.blocker for item in unmet)
    if not unmet and judged.checkpoint and _background_contradicted(judged.result, judged.checkpoint):
        yield "The background of its test picture measures as another colour than the prompt asks for."


def _gate_doubts(judged: Judged) -> Iterator[str]:
    if judged.checkpoint and (doubt := gate.blocker(judged.checkpoint)) is not None:
        yield doubt


def _background_contradicted(epoch_result: EpochResult, checkpoint: Checkpoint) -> bool:
    """What was measured counts until a person has said which issues the epoch has."""
    said = voices.said(voices.standing(epoch_result.score_entries.all()), "issues")
    render = verification.judged_render(checkpoint)
    if render is None or said is not None:
        return False
    return ((render.measures or {}).get("background") or {}).get("matches") is False


def _base_blockers(epoch_result: EpochResult) -> Iterator[str]:
    run = epoch_result.training_run
    if run is None:
        yield "Its row names no training run."
        return
    try:
        ours, theirs = base_for(settings.BASE_MODEL), base_for(run.base_model)
    except BaseError as error:
        yield str(error)
        return
    if run.model_type == "SDXL" or not theirs.profile.renderable:
        yield f"It was trained for {run.base_model}: Stable Diffusion XL is kept and shown here, not rendered."
    elif theirs.name != ours.name:
        yield f"It was trained for {theirs.name}; this site draws with {ours.name} (BASE_MODEL)."


def _word_blockers(epoch_result: EpochResult, words: CaptionVersion | None) -> Iterator[str]:
    found = words or _words_of(epoch_result.training_run)
    if found is None or not found.captions.exists():
        name = str(found or (epoch_result.training_run and epoch_result.training_run.caption_version) or "")
        yield (
            f"Visitors choose from the words of its captions, and {f'those of {name!r}' if name else 'they'} are not in "
            "the lab: run `manage.py import_captions`, or name another version with `manage.py promote --captions`."
        )


def _live_blockers(checkpoint: Checkpoint) -> Iterator[str]:
    if Release.objects.filter(role=Release.Role.LIVE, retired_at=None, checkpoint=checkpoint).exists():
        yield "It is live already."


def _checkpoint_blockers(checkpoint: Checkpoint) -> Iterator[str]:
    yield from _live_blockers(checkpoint)
    if (fault := _file_fault(checkpoint)) is not None:
        yield fault
    render = verification.judged_render(checkpoint)
    if render is None:
        yield "None of its test pictures is rendered: run `manage.py test_epoch`, then verify."
        return
    if (fault := _verification_fault(verification.latest(render))) is not None:
        yield fault


def _file_fault(checkpoint: Checkpoint) -> str | None:
    path = checkpoint.path
    if path is None:
        return "It has no LoRA file."
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"Its file {path} cannot be read: {error.strerror}."
    if found != checkpoint.sha256:
        return f"Its file {path} was altered: SHA-256 {found[:12]}..., recorded {checkpoint.sha256[:12]}...."
    return None


def _verification_fault(last: Verification | None) -> str | None:
    if last is None:
        return "Its test picture has not been drawn again yet: start the verification."
    if last.status in (Status.QUEUED, Status.RENDERING):
        return "Its test picture is being drawn again: wait for the verification."
    if last.status != Status.RENDERED:
        return f"Its test picture could not be drawn again: {last.message or last.get_status_display()}"
    if not last.matches:
        return f"Its test picture, drawn again, does not match the judged one: {last.message}"
    return None


def _no_checkpoint(epoch_result: EpochResult) -> str:
    return f"{epoch_result} has no LoRA file here: adopt it with `manage.py adopt_files` or train it."


def _words_of(run: TrainingRun | None) -> CaptionVersion | None:
    return CaptionVersion.objects.filter(version_name=run.caption_version).first() if run else None


def _release_of(epoch_result: EpochResult, words: CaptionVersion | None) -> Release:
    checkpoint = checkpoint_of(epoch_result)
    words = words or _words_of(epoch_result.training_run)
    render = verification.judged_render(checkpoint) if checkpoint else None
    assert checkpoint is not None
    assert words is not None
    assert render is not None
    request = RenderRequest.from_json(json.dumps(render.request))
    return drawn_like(request, checkpoint, words, vocabulary.of_version(words))


def _refuse_changed(row: EpochResult, release: Release) -> None:
    """What may have changed since the blockers were read, asked again of the locked row."""
    new = [doubt for doubt in doubts(row) if doubt not in release.overridden]
    changed = [*new, *_score_faults(Judged(row)), *_live_blockers(release.checkpoint)]
    if changed:
        raise PromotionError(changed)


def _mark(row: EpochResult, release: Release) -> None:
    """Write what a promotion says of epoch and run into the lab's own columns, all of them together."""
    assert row.training_run_id is not None
    assert row.average is not None
    run = TrainingRun.objects.select_for_update().get(pk=row.training_run_id)
    over = f" (over {len(release.overridden)} objections: {release.override_reason})" if release.overridden else ""
    by = release.by or "the command line"
    note = f"{timezone.localdate()}: epoch {row.epoch_number} promoted by {by}: {release.reason}{over}"
    row.production_ready, row.verdict, row.notes = True, verdicts.BEST, with_line(row.notes, note)
    row.save(update_fields=["production_ready", "verdict", "notes"])
    run.production_ready, run.best_epoch, run.quality_score = True, row.epoch_number, math.floor(row.average)
    run.overall_verdict, run.notes = "success", with_line(run.notes, note)
    written = ["production_ready", "best_epoch", "quality_score", "overall_verdict", "notes"]
    if not TrainingJob.objects.filter(run=run).unfinished().exists():
        run.status = "completed"
        written.append("status")
    run.save(update_fields=written)


def _refuse_stranger(by: User | None) -> None:
    if by is not None and not by.has_perm(PROMOTE):
        raise PermissionDenied(f"{by} may not promote: it needs the role {role_for(PROMOTE)} ({PROMOTE}).")
