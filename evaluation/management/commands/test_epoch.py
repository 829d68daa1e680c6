from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation import results, scoring, suite, tasks
from evaluation.models import TestRender
from evaluation.renderjob import Status
from punklab import roles


class Command(BaseCommand):
    help = "Queue the test pictures of an epoch; their minutes on this machine are shown first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run")
        parser.add_argument("epoch", type=int)
        parser.add_argument("--suite", choices=[str(size) for size in suite.Size], default=str(suite.Size.FULL))
        parser.add_argument(
            "--repeat",
            action="store_true",
            help="the whole suite once more with other seeds: what chance alone changes",
        )
        parser.add_argument("--here", action="store_true", help="draw them in this process, without the queue's worker")
        parser.add_argument("--by", help="log-in of the person who asks")

    def handle(self, **options: Any) -> str:
        """Say how long it takes, queue, and draw when asked to. Raises CommandError when the epoch cannot be drawn."""
        try:
            by = roles.person(options["by"], roles.TRAIN) if options["by"] else None
            row = scoring.find_epoch(options["run"], options["epoch"])
            checkpoint = results.checkpoint_of(row)
            if checkpoint is None:
                raise CommandError(f"{row} has no checkpoint here: register its file with `manage.py adopt_files`.")
            if options["repeat"]:
                n_queued = suite.queue_repeats(checkpoint, by)
            else:
                self.stdout.write(f"{checkpoint}: {suite.estimate(checkpoint, options['suite'])}.")
                n_queued = suite.queue(checkpoint, options["suite"], by)
        except (roles.RoleError, scoring.ScoringError, suite.SuiteError) as error:
            raise CommandError(str(error)) from error
        if not options["here"]:
            return f"{n_queued} pictures queued for the worker of the tests."
        self.stdout.write(tasks.render_checkpoint(checkpoint.pk))
        return "\n".join(_lines(checkpoint.test_renders.select_related("test_prompt")))


def _lines(renders: Any) -> list[str]:
    return [_line(render) for render in renders]


def _line(render: TestRender) -> str:
    if render.status == Status.RENDERED:
        return f"  {render.test_prompt}: {render.finished_path}"
    return f"  {render.test_prompt}: {render.status} {render.message}".rstrip()
