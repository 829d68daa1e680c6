from __future__ import annotations  # noqa: N999 - it is the command's name

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from evaluation.prompts import NEGATIVE_PROMPT, SEED
from evaluation.requests import request_for
from punklab.diffusion.base import BaseError
from punklab.diffusion.devices import DeviceError
from punklab.diffusion.lora import LoraError
from punklab.diffusion.renderer import Renderer, RenderError
from punklab.diffusion.request import RequestError
from punklab.files import write_whole
from runs.bases import base_for
from runs.checkpoints import CheckpointError, examine, facts
from runs.models import Checkpoint


class Command(BaseCommand):
    help = "Draws one picture with any LoRA file, without a run; nothing is kept but the PNGs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a LoRA in kohya's format (.safetensors)")
        parser.add_argument("--prompt", required=True)
        parser.add_argument("--negative", default=NEGATIVE_PROMPT, help="default: the lab's")
        parser.add_argument("--seed", type=int, default=SEED)
        parser.add_argument("--weight", type=float, default=1.0, help="strength; 1 is as trained")
        parser.add_argument("--base", help="base model; default: BASE_MODEL")
        parser.add_argument(
            "--out", type=Path, help="the picture as drawn; the 24x24 goes beside it with -24 in its name"
        )

    def handle(self, *args: Any, **options: Any) -> str:
        path: Path = options["file"]
        out: Path = options["out"] or Path(f"{path.stem}-seed{options['seed']}.png")
        if out.suffix.lower() != ".png":
            raise CommandError(f"--out {out}: pictures are written as PNG; name a file that ends in .png.")
        try:
            base = base_for(options["base"])
            header = examine(path, base)
            unkept = Checkpoint(
                base_model=base.name, sha256=header.sha256, header=facts(header), source=Checkpoint.Source.ADOPTED
            )
            request = request_for(
                unkept,
                prompt=options["prompt"],
                negative_prompt=options["negative"],
                seed=options["seed"],
                lora_weight=options["weight"],
            )
            (drawn,) = Renderer(base, settings.DEVICE).render([request], {header.sha256: path})
            small = out.with_name(f"{out.stem}-24.png")
            write_whole(out, drawn.raw_png())
            write_whole(small, drawn.finished_png())
        except (BaseError, CheckpointError, DeviceError, LoraError, RenderError, RequestError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or out}: {error.strerror or error}; name another --out.") from error
        return f"{out} and {small}, drawn in {drawn.seconds:.2f} s on {drawn.device}."
