from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from runs.backends import rented_backend
from runs.controller import ControlLoop

EVERY = 15.0  # seconds


class Command(BaseCommand):
    help = "Controls rented machines until it is ended. A second one waits; being killed at any moment loses nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, default=EVERY, help=f"seconds between two looks (default {EVERY:g})")

    def handle(self, **options: Any) -> None:
        if not settings.RUNPOD_API_KEY:
            raise CommandError(
                "RUNPOD_API_KEY is not set: make a restricted key in RunPod's console under Settings, API Keys."
            )
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        ControlLoop(rented_backend()).run(options["every"], stopped)
