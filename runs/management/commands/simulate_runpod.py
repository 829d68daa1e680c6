from __future__ import annotations

import json
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Simulates RunPod until it is ended, with a stand-in for kohya, and prints the environment that points the site at it. "
        "Nothing costs money, and the LoRAs are noise."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--time-scale", type=float, default=1.0, help="seconds on the price meter for each real one"
        )

    def handle(self, **options: Any) -> None:
        state = Path(settings.STATE_DIR) / "runpod"
        argv = ["-m", "tests.simulators.runpod", "--state", str(state), "--time-scale", str(options["time_scale"])]
        simulator = subprocess.Popen(  # noqa: S603
            [sys.executable, *argv, "--kohya"], cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True
        )
        assert simulator.stdout is not None
        with simulator:
            try:
                told: dict[str, str] = json.loads(simulator.stdout.readline() or "{}")
                if not told:
                    raise CommandError("The simulator did not start: it needs the packages of requirements-dev.txt.")
                for name, value in told.items():
                    self.stdout.write(f"export {name}={shlex.quote(value)}")
                self.stdout.flush()
                simulator.wait()
            except KeyboardInterrupt:  # which reached the simulator too
                simulator.wait(30)
