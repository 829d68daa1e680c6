from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from deployment import tasks
from deployment.promotion import PromotionError, begin_verification, promote
from evaluation.models import EpochResult
from evaluation.scoring import ScoringError, find_epoch
from punklab.roles import PROMOTE, RoleError, person
from runs.captions import CaptionVersionError, find_version


class Command(BaseCommand):
    help = (
        "Makes an epoch's LoRA live on the public page and marks epoch and run; draws its test picture again before. "
        "Prints everything that stands in the way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="the run's name")
        parser.add_argument("epoch", type=int)
        parser.add_argument("--reason", required=True, help="kept with the release for ever")
        parser.add_argument(
            "--override", default="", metavar="WHY", help="why it goes live against people's word, measures or the gate"
        )
        parser.add_argument("--by", help="log-in name of the person who promotes; needs the role publisher")
        parser.add_argument("--captions", help="caption version whose words visitors choose from (default: the run's)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["reason"].strip():
            raise CommandError("--reason is empty: say why this epoch goes live; it is kept with the release.")
        try:
            by = person(options["by"], PROMOTE) if options["by"] else None
            epoch_result = find_epoch(options["run"], options["epoch"])
            words = find_version(options["captions"]) if options["captions"] else None
        except (RoleError, ScoringError, CaptionVersionError) as error:
            raise CommandError(str(error)) from error
        self._verify(epoch_result, by)
        try:
            release = promote(epoch_result, by=by, reason=options["reason"], words=words, override=options["override"])
        except PromotionError as error:
            lines = "\n".join(f"- {blocker}" for blocker in error.blockers)
            raise CommandError(f"{epoch_result} cannot be promoted:\n{lines}") from error
        self.stdout.write(
            f"Release {release.pk} is live: {release.checkpoint}, with the words of {release.caption_version}."
        )

    def _verify(self, epoch_result: EpochResult, by: User | None) -> None:
        """Draw the judged picture again in this process; where there is none, the blockers will say so."""
        try:
            row, _ = begin_verification(epoch_result, by=by)
        except PromotionError:
            return
        self.stdout.write(f"Drawing {row.test_render} again ...")
        tasks.verify(row.pk)
