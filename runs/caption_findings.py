"""What a check found in a caption version, kept with it, and what it finds in one caption that is being edited."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django_q.tasks import async_task

from runs.caption_checks import RULES, Finding, check, check_caption, has_codes
from runs.caption_models import CaptionFindings
from runs.caption_pairs import Pair, PairError, Problem, read_picture
from runs.caption_words import count_words, mistyped, words_of
from runs.captions import CaptionVersionError, contents_of, load_pairs
from runs.models import CaptionVersion, TrainingImage

_ASK_AGAIN = 600  # seconds: a queue that stands still is not filled with the same task by everybody who looks


@dataclass(frozen=True)
class Known:
    """The findings of a version by stem, and what its captions say about any one of them.

    Not `is_ready`: the queue is finding them, and `found` is empty until it has.
    """

    found: dict[str, list[Finding]]
    words: Counter[str]
    with_codes: bool
    is_ready: bool = True

    def of(self, stem: str) -> list[Finding]:
        return self.found.get(stem, [])

    def of_picture(self, stem: str) -> list[Finding]:
        """Those that no edit of the text can mend."""
        return [each for each in self.of(stem) if each.file.endswith(".png")]


def known_findings(version: CaptionVersion) -> Known:
    """The findings as they were kept, two queries; where they were not, the queue is asked to find them."""
    digest = _digest(version)
    row = CaptionFindings.objects.filter(version=version, digest=digest).first()
    if row is None:
        if cache.add(f"caption-findings-{version.pk}-{digest}", True, _ASK_AGAIN):
            find_later(version)
        pairs = [Pair(stem, text) for stem, text in version.captions.values_list("stem", "text")]
        return Known({}, count_words(pair.text for pair in pairs), has_codes(pairs), is_ready=False)
    found = {stem: [_finding(each) for each in several] for stem, several in row.found.items()}
    return Known(found, Counter(row.words), row.with_codes)


def find_later(version: CaptionVersion) -> None:
    """Let the queue find what there is to find in a version, once the transaction is committed."""
    async_task(find, version.pk, cluster=settings.REST_CLUSTER, task_name=f"check captions {version.pk}")


def find(pk: int) -> str:
    """A task: check a version's captions, about 20 ms each, and keep what was found. Returns a sentence."""
    version = CaptionVersion.objects.get(pk=pk)
    digest = _digest(version)
    if CaptionFindings.objects.filter(version=version, digest=digest).exists():
        return f"The findings of {version} are known already."
    damaged: list[Problem] = []
    try:
        pairs = load_pairs(version, damaged)
    except CaptionVersionError as error:
        return f"There is nothing to check: {error}."
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in check(pairs, damaged, blocking=settings.BLOCKING_CAPTION_FINDINGS):
        found[each.file[: -len(".txt")]].append(asdict(each))
    facts = {
        "digest": digest,
        "found": found,
        "words": count_words(pair.text for pair in pairs),
        "with_codes": has_codes(pairs),
    }
    CaptionFindings.objects.update_or_create(version=version, defaults=facts)
    return f"{version}: {sum(map(len, found.values()))} findings."


def find_in(known: Known, stem: str, text: str, image: TrainingImage) -> list[Finding]:
    """What the check finds in a text for a picture of that version, about 5 ms."""
    return find_in_many(known, [(stem, text, image)])[0]


def find_in_many(known: Known, texts: Iterable[tuple[str, str, TrainingImage]]) -> list[list[Finding]]:
    """The same of many: stem, text and picture each."""
    given = list(texts)
    typos = mistyped(known.words, {word for _, text, _ in given for word in words_of(text)})
    return [
        check_caption(
            _pair(stem, text, image),
            with_codes=known.with_codes,
            typos=typos,
            blocking=settings.BLOCKING_CAPTION_FINDINGS,
        )
        for stem, text, image in given
    ]


def to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(each) for each in findings]


def from_json(stored: Sequence[dict[str, Any]]) -> list[Finding]:
    return [_finding(each) for each in stored]


def _digest(version: CaptionVersion) -> str:
    return sha256(f"{RULES}\n{contents_of(version)}".encode()).hexdigest()


def _finding(stored: dict[str, Any]) -> Finding:
    """As it was found, blocking as the settings now say."""
    return Finding(**(stored | {"blocking": stored["code"] in settings.BLOCKING_CAPTION_FINDINGS}))


def _pair(stem: str, text: str, image: TrainingImage) -> Pair:
    try:
        return Pair(stem, text, read_picture(bytes(image.png)).cells, image.sha256)
    except PairError:  # a picture that was damaged in the database hinders nobody from mending words
        return Pair(stem, text)
