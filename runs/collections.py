"""What is learned from a caption version's pictures and captions, kept with it and learned again when they change."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from punklab.pixels import collection
from punklab.pixels.collection import Collection
from runs.captions import CaptionVersionError, contents_of, load_pairs
from runs.models import Caption, CaptionCollection, CaptionVersion, TrainingRun

_MOST_IN_MEMORY = 4
_loaded: OrderedDict[str, Collection] = OrderedDict()


def collection_of(version: CaptionVersion) -> Collection:
    """What the version teaches: from memory, from its row, or learned now (about 7 ms a picture) and written there.

    One query where nothing changed. What ships stands in for a version whose captions were never imported.
    """
    digest = _digest(version)
    if digest is None:
        return collection.shipped()
    if digest not in _loaded:
        _loaded[digest] = _kept(version, digest) or _learned(version, digest)
        while len(_loaded) > _MOST_IN_MEMORY:
            _loaded.popitem(last=False)
    _loaded.move_to_end(digest)
    return _loaded[digest]


def collection_for(run: TrainingRun | None) -> Collection:
    """What the caption version of a run teaches; what ships where the run names none that is here."""
    name = run.caption_version if run is not None else None
    version = CaptionVersion.objects.filter(version_name=name).first() if name else None
    return collection_of(version) if version else collection.shipped()


def most_colours(run: TrainingRun | None) -> int:
    """How many colours the pictures of a run's caption version have at most (the 95th percentile). One query.

    By what was learned last, be it that the captions changed since; learned now where nothing was.
    """
    name = run.caption_version if run is not None else None
    kept = CaptionCollection.objects.filter(version__version_name=name).first() if name else None
    try:
        known = Collection.from_bytes(bytes(kept.data)) if kept else collection_for(run)
    except ValueError:  # written by an older punklab
        known = collection_for(run)
    return int(known.bands["colours"].high)


def newest_collection() -> Collection:
    """What the caption version that was imported last teaches; what ships where there is none."""
    newest = Caption.objects.order_by("-pk").select_related("version").first()
    return collection_of(newest.version) if newest else collection.shipped()


def _digest(version: CaptionVersion) -> str | None:
    """A hash of all that is learned from; None for a version without captions."""
    pairs = contents_of(version)
    return sha256(f"{collection.FORMAT}\n{pairs}".encode()).hexdigest() if pairs else None


def _kept(version: CaptionVersion, digest: str) -> Collection | None:
    row = CaptionCollection.objects.filter(version=version, digest=digest).first()
    try:
        return Collection.from_bytes(bytes(row.data)) if row else None
    except ValueError:  # written by an older punklab
        return None


def _learned(version: CaptionVersion, digest: str) -> Collection:
    try:
        pairs = [(pair.stem, pair.text, pair.cells) for pair in load_pairs(version) if pair.cells is not None]
    except CaptionVersionError:  # its captions were removed meanwhile
        return collection.shipped()
    learned = collection.learn(pairs)
    CaptionCollection.objects.update_or_create(version=version, defaults={"digest": digest, "data": learned.to_bytes()})
    return learned
