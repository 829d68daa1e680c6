"""Production readiness: the lab's checklist of an epoch, each line with its evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.urls import reverse

from deployment import gate
from deployment.judgement import Item, Judged, Met, looked_at_item, must_haves, score_item
from deployment.models import Generation, Release
from evaluation import blind, metrics, results
from evaluation.blind_common import standing
from evaluation.models import PictureReview
from evaluation.proof import State
from evaluation.renderjob import Status

STEADY = 7  # the lab's "good": no prompt's pictures are suggested less
_ARTEFACTS = (PictureReview.Defect.STRAY, PictureReview.Defect.EYES, PictureReview.Defect.OTHER)
_MET = {State.WON: Met.YES, State.LOST: Met.NO, State.OPEN: Met.UNKNOWN}


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """What must hold and what is nice to have; `overridden` are past releases that went live over objections."""

    musts: Sequence[Item]
    nice: Sequence[Item]
    overridden: Sequence[Release]


def checklist(judged: Judged, person: User) -> Checklist:
    """The checklist of an epoch as this person may see it: results of blind pairs stay hidden from who may still vote."""
    musts = [*must_haves(judged), score_item(judged)]
    if judged.is_unattended:
        musts.append(looked_at_item(judged))
    nice = [
        _better(judged, person),
        _consistent(judged),
        _without_artefacts(judged),
        _original(judged),
        _tried(judged),
    ]
    releases = Release.objects.filter(checkpoint=judged.checkpoint).exclude(overridden=[]).select_related("by")
    return Checklist(musts=musts, nice=nice, overridden=list(releases) if judged.checkpoint else [])


def _better(judged: Judged, person: User) -> Item:
    label = "Better than what is live, by blind pairs"
    live, checkpoint = gate.rival(), judged.checkpoint
    if live is None:
        told = "nothing is live but a demo or the base model: there is no rival to beat."
        return Item(label=label, met=Met.UNKNOWN, evidence=told)
    if checkpoint is None or live.checkpoint_id == checkpoint.pk:
        told = "it is what is live." if checkpoint else "it has no LoRA file here, so no pictures to compare."
        return Item(label=label, met=Met.UNKNOWN, evidence=told)
    tests = standing(checkpoint, live.checkpoint)
    if not tests:
        told = f"not compared with {live} yet."
        start = reverse("admin:evaluation_epochresult_act", args=(judged.result.pk, "compare-live"))
        return Item(label=label, met=Met.UNKNOWN, evidence=told, url=start, link="Blind against live")
    facts = {"label": label, "url": reverse("evaluation:pairs_results", args=(tests[0].pk,)), "link": "Blind pairs"}
    if not blind.may_see(tests, person):
        told = f"compared with {live}; the results are hidden from you until you ask for them there."
        return Item(met=Met.UNKNOWN, evidence=told, **facts)
    found = gate.blind_results(checkpoint, live)
    assert found is not None
    low, high = found.proof.interval
    told = f"{found.sentence} Share {100 * low:.0f} to {100 * high:.0f} %, p = {found.proof.p:.3f}, {len(found.voters)} voters."
    return Item(met=_MET[found.proof.state], evidence=told, **facts)


def _consistent(judged: Judged) -> Item:
    """By the suggested scores of each picture: the worst prompt is good, and another seed changes little."""
    facts = {"label": "Consistent over prompts and seeds", "url": judged.page, "link": "Pictures and measures"}
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for render in judged.renders:
        if metrics.is_current(render.measures):
            given = [score for score in (render.measures or {})["suggested"].values() if isinstance(score, int | float)]
            if given:
                by_prompt[str(render.test_prompt)].append(sum(given) / len(given))
    if len(by_prompt) < 2:
        return Item(met=Met.UNKNOWN, evidence="fewer than two prompts are measured.", **facts)
    worst, best = (pick(by_prompt.items(), key=lambda each: _mean(each[1])) for pick in (min, max))
    told = f"suggested from {_mean(worst[1]):.1f} ({worst[0]}) to {_mean(best[1]):.1f} ({best[0]}) by prompt"
    apart = max(max(scores) - min(scores) for scores in by_prompt.values())
    if all(len(scores) == 1 for scores in by_prompt.values()):
        told += "; only one seed is drawn: “Measure the noise” draws another."
        return Item(met=Met.UNKNOWN if _mean(worst[1]) >= STEADY else Met.NO, evidence=told, **facts)
    told += f"; another seed changes a picture's by {apart:.1f} at most."
    lowest = min(min(scores) for scores in by_prompt.values())
    return Item(met=Met.YES if lowest >= STEADY else Met.NO, evidence=told, **facts)


def _without_artefacts(judged: Judged) -> Item:
    facts = {"label": "No artefacts", "url": judged.page, "link": "Pictures and measures"}
    marked = {review.result_id for review in judged.reviews if any(review.marks.get(kind) for kind in _ARTEFACTS)}
    looked = {review.result_id for review in judged.reviews}
    share, n = judged.metrics.get("means", {}).get("clean"), judged.metrics.get("judged", {}).get("clean", 0)
    told = []
    if looked:
        told.append(f"people marked faults in {len(marked)} of {len(looked)} pictures")
    if share is not None:
        told.append(f"measured: defects in {round(n * (1 - share))} of {n} pictures")
    if not told:
        return Item(met=Met.UNKNOWN, evidence="not measured, and no picture was looked at.", **facts)
    kinds = {issue["issue"] for issue in results.issues_ours(judged.result) or ()}
    clean = not marked and (share is None or share == 1) and "random_pixels" not in kinds
    return Item(met=Met.YES if clean else Met.NO, evidence=f"{'; '.join(told)}.", **facts)


def _original(judged: Judged) -> Item:
    facts = {"label": "Not a copy of training pictures", "url": judged.page, "link": "Pictures and measures"}
    share, n = judged.metrics.get("means", {}).get("original"), judged.metrics.get("judged", {}).get("original", 0)
    if share is None:
        return Item(met=Met.UNKNOWN, evidence="not compared with training pictures yet.", **facts)
    told = f"measured: {round(n * (1 - share))} of {n} pictures are copies."
    return Item(met=Met.YES if share == 1 else Met.NO, evidence=told, **facts)


def _tried(judged: Judged) -> Item:
    """Punks that the page drew with this very file: a tick that somebody sets would be no evidence."""
    label = "Tried on the real page"
    drawn = Generation.objects.filter(release__checkpoint=judged.checkpoint, status=Status.RENDERED)
    n = drawn.count() if judged.checkpoint else 0
    if not n:
        told = "the page has drawn nothing with it: it draws with what is live. `manage.py try` draws any prompt with its file."
        return Item(label=label, met=Met.UNKNOWN, evidence=told)
    told = f"the page drew {n} punk{'' if n == 1 else 's'} with it."
    url = reverse("admin:deployment_generation_changelist")
    return Item(label=label, met=Met.YES, evidence=told, url=url, link="Punks")


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
