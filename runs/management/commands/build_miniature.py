from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from punklab.diffusion.miniature.train import build


class Command(BaseCommand):
    help = "Train the miniature base model from nothing but procedurally drawn punks (about 30 minutes on 2 cores)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, required=True, help="an empty or new folder for the pipeline")
        parser.add_argument(
            "--minutes", type=float, default=30.0, help="training time in all; 8 suffice on a large GPU"
        )
        parser.add_argument("--device", default="cpu", help="cpu, or cuda with an NVIDIA GPU")

    def handle(self, *args: Any, out: Path, minutes: float, device: str, **options: Any) -> str:
        if out.exists() and any(out.iterdir()):
            raise CommandError(f"{out} is not empty; name a new folder, so that no weights are overwritten.")
        if minutes <= 0:
            raise CommandError(f"--minutes {minutes} leaves no time to train.")
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        profile = build(out, minutes, device)
        return f"{out}: trained for {profile['training']['steps']} steps; measure it with punklab.diffusion.miniature.assess."
