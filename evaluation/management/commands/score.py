from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import scoring
from punklab import roles


class Command(BaseCommand):
    help = "Score an epoch: visual quality, style match and prompt adherence, 0 to 10 each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("epoch", type=int)
        parser.add_argument("scores", nargs="+", metavar="VISUAL STYLE PROMPT", help="three whole numbers, 0 to 10")
        parser.add_argument("--issue", action="append", help="what is wrong, in a word; overrules measures and rules")
        parser.add_argument("--strength", action="append", help="what is good, in a word")
        parser.add_argument("--by", help="log-in of the person who scores")

    def handle(self, **options: Any) -> str:
        """Write the scores and say what follows from them. Raises CommandError with everything that is wrong."""
        (visual, style, prompt), observations = _split(options["scores"])
        try:
            by = roles.person(options["by"], roles.SCORE) if options["by"] else None
            row = scoring.find_epoch(options["run"], options["epoch"])
            row = scoring.score(
                row, visual, style, prompt, observations, by=by, issues=options["issue"], strengths=options["strength"]
            )
        except roles.RoleError as error:
            raise CommandError(str(error)) from error
        except scoring.ScoringError as error:
            raise CommandError("\n".join(error.problems)) from error
        found = f"; issues: {', '.join(row.issues_detail)}" if row.issues_detail else ""
        return f"{row}: {row.verdict} ({row.average:.1f}){found}"


def _split(words: list[str]) -> tuple[list[Any], str]:
    """Three scores, None where one is missing, and the observations: the fourth word, when the first three are there."""
    scores: list[Any] = [int(word) if word.lstrip("-").isdecimal() else word for word in words[:3]]
    if len(words) > 4:
        raise CommandError('Put the observations in quotes: score RUN EPOCH 7 7 7 "two-toned hair"')
    return scores + [None] * (3 - len(scores)), words[3] if len(words) == 4 else ""
