"""What a check found in a caption version, kept with it, and what it finds in one caption that is being edited."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings

from runs.caption_checks import RULES, Finding, check, check_caption, has_codes
from runs.caption_models import CaptionFindings
from runs.caption_pairs import Pair, PairError, read_picture
from runs.caption_words import count_words, mistyped, words_of
from runs.captions import contents_of, load_pairs
from runs.models import CaptionVersion, TrainingImage


@dataclass(frozen=True)
class Known:
    """The findings of a version by stem, and what its captions say about any one of them."""

    found: dict[str, list[Finding]]
    words: Counter[str]
    with_codes: bool

    def of(self, stem: str) -> list[Finding]:
        return self.found.get(stem, [])

    def of_picture(self, stem: str) -> list[Finding]:
        """Those that no edit of the text can mend."""
        return [each for each in self.of(stem) if each.file.endswith(".png")]


def known_findings(version: CaptionVersion) -> Known:
    """The findings as they were kept, two queries; found now (about 10 ms a caption) and kept where they were not.

    Raises CaptionVersionError when the version's captions were never imported.
    """
    digest = sha256(f"{RULES}\n{contents_of(version)}".encode()).hexdigest()
    row = CaptionFindings.objects.filter(version=version, digest=digest).first() or _find(version, digest)
    found = {stem: [_finding(each) for each in several] for stem, several in row.found.items()}
    return Known(found, Counter(row.words), row.with_codes)


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


def _find(version: CaptionVersion, digest: str) -> CaptionFindings:
    pairs = load_pairs(version)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in check(pairs, blocking=settings.BLOCKING_CAPTION_FINDINGS):
        found[each.file[: -len(".txt")]].append(asdict(each))
    facts = {
        "digest": digest,
        "found": found,
        "words": count_words(pair.text for pair in pairs),
        "with_codes": has_codes(pairs),
    }
    return CaptionFindings.objects.update_or_create(version=version, defaults=facts)[0]


def _finding(stored: dict[str, Any]) -> Finding:
    """As it was found, blocking as the settings now say."""
    return Finding(**(stored | {"blocking": stored["code"] in settings.BLOCKING_CAPTION_FINDINGS}))


def _pair(stem: str, text: str, image: TrainingImage) -> Pair:
    try:
        return Pair(stem, text, read_picture(bytes(image.png)).cells, image.sha256)
    except PairError:  # a picture that was damaged in the database hinders nobody from mending words
        return Pair(stem, text)
