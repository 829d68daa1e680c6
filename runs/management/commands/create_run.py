from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from punklab.diffusion.training_options import ACCEPTED
from punklab.roles import TRAIN, RoleError, person
from runs.captions import CaptionVersionError, find_version
from runs.config import ConfigError, lint, read_config
from runs.training import ActError, create_run


class Command(BaseCommand):
    help = "Makes a training run from a caption version and kohya's training_config.toml."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the run is to be called")
        parser.add_argument("--captions", required=True, help="name of an imported caption version")
        parser.add_argument("--config", required=True, type=Path, help="kohya's training_config.toml")
        parser.add_argument("--base", help="base model: miniature, a hub id; default: BASE_MODEL")
        parser.add_argument(
            "--repeats", type=int, default=1, help="how often each picture counts in an epoch (default 1)"
        )
        parser.add_argument("--by", help="log-in name of the person who asks")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            by = person(options["by"], TRAIN) if options["by"] else None
            config = read_config(Path(options["config"]))
            run = create_run(
                options["name"],
                captions=find_version(options["captions"]),
                config_text=config.text,
                base=options["base"],
                repeats=options["repeats"],
                by=by,
            )
        except (ActError, ConfigError, RoleError, CaptionVersionError) as error:
            raise CommandError(str(error)) from error
        for finding in lint(config, ACCEPTED):
            if finding.key == "output_name":  # the run's own name was taken
                continue
            self.stderr.write(f"{options['config']}:{finding.line or 1}: {finding.detail} -> {finding.mend}")
        return (
            f"Run {run} was created: {run.num_images} pictures of {run.caption_version} on {run.base_model}. "
            f'Train it with `manage.py train "{run}"`.'
        )
