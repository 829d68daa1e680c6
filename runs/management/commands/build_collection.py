from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from punklab.diffusion.miniature.teach import prior_of_the_artist
from punklab.pixels import collection
from punklab.pixels.collection import Collection
from runs.caption_folder import FolderError, read_folder


class Command(BaseCommand):
    help = (
        "Learn from a folder of pairs what ships for pictures without a caption version (punklab/pixels/collection.npz), "
        "starting from the procedural artist's punks; no picture or caption goes into the file (12 seconds for 203)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="the captions, and the PNG files if not --images")
        parser.add_argument("--images", type=Path, metavar="DIR", help="where the PNG files are, if not in it")
        parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the NPZ to write")

    def handle(self, *args: Any, folder: Path, images: Path | None, out: Path, **options: Any) -> str:
        """Return what was written. Raises CommandError for a folder with too few or no usable pairs."""
        try:
            read = read_folder(folder, images)
        except FolderError as error:
            raise CommandError(str(error)) from error
        for problem in read.problems:
            self.stderr.write(f"{problem.file}: {problem.detail}")
        pairs = [(one.pair.stem, one.pair.text, one.pair.cells) for one in read.pairs if one.pair.cells is not None]
        if len(pairs) < collection.FEWEST:
            raise CommandError(f"{folder}: {len(pairs)} pairs; {collection.FEWEST} is the least to learn from")
        artist = prior_of_the_artist()
        learned = collection.learn(pairs, Collection(artist, {}, {}))
        # The artist's examples stay, so that other collections can be learned from along with them.
        shipped = Collection(replace(learned.prior, examples=artist.examples), learned.bands, learned.measured)
        out.write_bytes(shipped.to_bytes())
        return f"{out}: learned from {len(pairs)} pairs, {out.stat().st_size:,} bytes"
