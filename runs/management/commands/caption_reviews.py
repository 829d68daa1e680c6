from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from punklab.roles import RoleError, person
from runs import lab_reviews
from runs.caption_edits import CaptionEditError
from runs.captions import CaptionVersionError, find_version
from runs.lab_reviews import LabReviewError


class Command(BaseCommand):
    help = "Reads the lab's table caption_reviews into the work on a caption version, or writes that work back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the caption version's name")
        parser.add_argument("act", choices=["import", "write"])
        parser.add_argument("--by", required=True, help="the log-in of the person who does this")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            by = person(options["by"], "runs.change_captionversion")
            version = find_version(options["name"])
            if options["act"] == "import":
                said = lab_reviews.bring_in(version, by=by).sentences("taken over")
            else:
                said = lab_reviews.write_back(version).sentences("written")
        except (RoleError, CaptionVersionError, CaptionEditError, LabReviewError) as error:
            raise CommandError(str(error)) from error
        return "\n".join(said)
