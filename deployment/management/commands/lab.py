from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import OperationalError, close_old_connections, connection
from django_q.tasks import async_task

from deployment import demo, tasks
from deployment.models import Generation, Release, Verification
from evaluation.matrix_models import WeightRender
from evaluation.models import EpochResult, TestRender
from evaluation.progressive import queue_untested
from evaluation.renderjob import Status
from punklab.diffusion.base import BaseError
from punklab.supervisor import AlreadyRunningError, Program, Supervisor, end_leftovers, sole
from runs.caption_import import CaptionImportError
from runs.models import TrainingJob, TrainingRun
from runs.tasks import reconcile
from runs.training import ActError

POLL = 2.0  # seconds between two looks at the lab
WEB_PATIENCE = 30.0  # seconds until the web server should answer
# One thread each: on two cores, trainer, test renders and visitors slow each other down out of proportion otherwise.
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Command(BaseCommand):
    help = "Set the lab up where it is empty, then serve it with its workers until Ctrl-C. `make lab` calls this."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--punks", default="", help="a folder of PNG + TXT pairs, or images/ beside caption folders"
        )
        parser.add_argument("--port", type=int, default=8000, help="the first port to try (default 8000)")

    def handle(self, **options: Any) -> None:
        state = Path(settings.STATE_DIR)
        try:
            with sole(state):
                self._serve(state, options)
        except AlreadyRunningError as error:
            raise CommandError(
                f"make lab runs already, as process {error}. Use that one, or end it with Ctrl-C first."
            ) from error

    def _serve(self, state: Path, options: dict[str, Any]) -> None:
        for name in ("", "django-q"):  # the progress line says what there is to say
            logging.getLogger(name).setLevel(logging.WARNING)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        end_leftovers(state / "logs")
        self.stdout.write("Preparing the database ...")
        call_command("migrate", verbosity=0)
        run = None
        passwords: dict[str, str] = {}
        if not settings.DATABASE_URL:
            passwords, run = self._prepare(options["punks"])
        elif options["punks"]:
            raise CommandError(
                "PUNKS fills an empty lab of its own. With DATABASE_URL use `manage.py import_captions`."
            )
        port = free_port(options["port"])
        supervisor = Supervisor(programs(port), state / "logs")
        try:
            supervisor.start()
            reconcile()
            async_task(tasks.warm, cluster=settings.VISITORS_CLUSTER)
            self._wait_for_web(port, ended)
            self._announce(port, passwords)
            self._watch(supervisor, run, ended)
        finally:
            self.stdout.write("\nEnding the lab; `make lab` goes on from here.")
            supervisor.stop()  # first, or the queue would start the training again
            call_command("stop_training", verbosity=0)

    def _prepare(self, punks: str) -> tuple[dict[str, str], TrainingRun]:
        passwords = demo.make_people()
        for rows in (TestRender.objects, WeightRender.objects, Generation.objects, Verification.objects):
            rows.put_all_back()  # nobody else works on this database: what a killed lab was drawing is drawn now
        self.stdout.write("Importing captions ...")
        try:
            version = demo.import_punks(Path(punks) if punks else None)
            demo.release_base(version)
            return passwords, demo.start_run(version)
        except (CaptionImportError, ActError, BaseError) as error:
            raise CommandError(str(error)) from error

    def _wait_for_web(self, port: int, ended: threading.Event) -> None:
        for _ in range(int(WEB_PATIENCE / 0.1)):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0 or ended.wait(0.1):
                    return
        self.stderr.write(
            f"The web server does not answer after {WEB_PATIENCE:g} s; see {settings.STATE_DIR}/logs/web.log"
        )

    def _announce(self, port: int, passwords: dict[str, str]) -> None:
        lines = ["", f"  Generator  http://127.0.0.1:{port}/", f"  Console    http://127.0.0.1:{port}/console/"]
        if passwords:
            lines.append(f"  Log in as  {', '.join(passwords)}")
            lines.append(f"  Passwords  {', '.join(f'{name}: {word}' for name, word in passwords.items())}")
        self.stdout.write("\n".join([*lines, "", "  Ctrl-C ends it; nothing is lost.", ""]))

    def _watch(self, supervisor: Supervisor, run: TrainingRun | None, ended: threading.Event) -> None:
        said = ""
        while not ended.wait(POLL):
            for name in supervisor.watch():
                self.stderr.write(f"{name} had ended and was started again; see .state/logs/{name}.log")
            try:
                queue_untested()
                line = progress(run)
            except OperationalError as error:
                close_old_connections()
                line = f"The database does not answer, trying again: {str(error).splitlines()[0]}"
            if line != said:
                self._say(line)
                said = line

    def _say(self, line: str) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r\x1b[K{line}", ending="")
            self.stdout.flush()
        else:
            self.stdout.write(line)


def programs(port: int) -> list[Program]:
    """The site's processes: the web server and one cluster of one worker for each kind of work."""
    manage = [sys.executable, "manage.py"]
    web = [sys.executable, "-m", "gunicorn", "punklab.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "8"]
    return [
        Program(name="web", argv=[*web, "--access-logfile", "-"]),
        Program(
            name="visitors", argv=[*manage, "qcluster"], env=THREADS | {"Q_CLUSTER_NAME": settings.VISITORS_CLUSTER}
        ),
        Program(
            name="tests",
            argv=["nice", "-n", "5", *manage, "qcluster"],
            env=THREADS | {"Q_CLUSTER_NAME": settings.TESTS_CLUSTER},
        ),
        Program(name="rest", argv=["nice", "-n", "5", *manage, "qcluster"], env=THREADS),
        *([Program(name="controller", argv=[*manage, "controller"])] if settings.RUNPOD_API_KEY else []),
    ]


def free_port(first: int) -> int:
    """Return the first port from `first` on that nothing listens on, of ten; raises CommandError when all are taken."""
    for port in range(first, first + 10):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CommandError(f"Ports {first} to {first + 9} are taken. Give another: make lab PORT=9000")


def progress(run: TrainingRun | None) -> str:
    """One line: what the lab is doing. Three queries."""
    connection.ensure_connection()
    parts = []
    job = TrainingJob.objects.filter(run=run).first() if run else TrainingJob.objects.unfinished().first()
    if job:
        parts.append(job_line(job))
    counts = {status: TestRender.objects.filter(status=status).count() for status in (Status.RENDERED, Status.QUEUED)}
    parts.append(f"test pictures: {counts[Status.RENDERED]} done, {counts[Status.QUEUED]} queued")
    waiting = EpochResult.objects.awaiting_scores().count()
    parts.append(f"{waiting} epochs await scores")
    live = Release.objects.live()
    parts.append(f"live: {live.checkpoint}" if live else "nothing is live")
    return " | ".join(parts)


def job_line(job: TrainingJob) -> str:
    """A training job in a few words."""
    if job.status != TrainingJob.Status.RUNNING:
        return f"training {job.run}: {job.get_status_display()}{f' ({job.message})' if job.message else ''}"
    if not job.step:
        return f"training {job.run}: loading the base model and the pictures"
    eta = f", {job.eta_seconds:.0f} s left" if job.eta_seconds is not None else ""
    loss = f", loss {job.loss:.4f}" if job.loss is not None else ""
    return f"training {job.run}: epoch {job.epoch}, step {job.step}/{job.total_steps} ({job.share:.0%}){loss}{eta}"
