from __future__ import annotations

import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from punklab.roles import TRAIN, RoleError, person
from runs.backends import BACKENDS, RENTED
from runs.backends.base import BackendError
from runs.backends.process import JobProcess
from runs.controller import is_controlled
from runs.models import TrainingJob, TrainingRun
from runs.naming import UnknownRunError, find_run
from runs.quote import quote_for
from runs.tasks import is_lost
from runs.training import ActError, new_job, start

POLL = 1.0  # seconds
WAITED_LONG = 20.0  # seconds after which a job that nobody took needs an explanation
NO_QUEUE = (
    "No queue has taken the job yet. Start one with `manage.py qcluster` (or `make lab`), "
    'or train in this process: `manage.py train "{run}" --here`.'
)
NO_CONTROLLER = "No controller is at work: start `manage.py controller` (`make lab` does where RUNPOD_API_KEY is set)."
Status = TrainingJob.Status


class Command(BaseCommand):
    help = "Trains a run: queues it, or with --here carries it out in this process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="name or number of the run")
        parser.add_argument("--backend", choices=sorted((*BACKENDS, *RENTED)), default="local")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--wait", action="store_true", help="show progress until the end; Ctrl-C only stops watching")
        how.add_argument("--here", action="store_true", help="train in this process, without a queue; Ctrl-C pauses it")
        parser.add_argument("--max-hours", type=float, help="of rented machines, over all attempts")
        parser.add_argument("--yes", action="store_true", help="rent at what the quote says")
        parser.add_argument("--by", help="log-in name of the person who asks")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            by = person(options["by"], TRAIN) if options["by"] else None
            run = find_run(options["run"])
            job = run.jobs.unfinished().first() if options["wait"] or options["here"] else None
            if job is None and options["backend"] in RENTED:
                if options["here"]:
                    raise CommandError("--here trains in this process: it goes with the backend local.")
                if not options["yes"]:
                    return self._quote(run, options["max_hours"])
                job = start(run, backend=options["backend"], by=by, max_hours=options["max_hours"])
            elif job is None:
                begin = new_job if options["here"] else start
                job = begin(run, backend=options["backend"], by=by)
        except (ActError, BackendError, RoleError, UnknownRunError) as error:
            raise CommandError(str(error)) from error
        if options["here"]:
            return self._here(job)
        if options["wait"]:
            return self._wait(job)
        return f'{run} is queued as job {job.pk}. Watch it in the console, or with `manage.py train "{run}" --wait`.'

    def _quote(self, run: TrainingRun, max_hours: float | None) -> str:
        quote = quote_for(run, max_hours)
        return "\n".join([*quote.lines, quote.refusal or "Rent it with --yes."])

    def _here(self, job: TrainingJob) -> str:
        process = JobProcess(job)
        over = threading.Event()
        lines = threading.Thread(target=self._lines_of, args=(process, over), daemon=True)
        lines.start()
        try:
            with process.stopping_on_signals():
                sentence = process.carry_out()
        finally:
            over.set()
            lines.join()
        return self._ended(job, sentence)

    def _lines_of(self, process: JobProcess, over: threading.Event) -> None:
        while not over.wait(POLL):
            if now := process.progress:
                self._say(now.epoch, now.epochs, now.step, now.total_steps, now.loss, now.eta_seconds)

    def _wait(self, job: TrainingJob) -> str:
        begun, told = time.monotonic(), False
        try:
            while job.status not in TrainingJob.FINAL:
                if job.status == Status.RUNNING and job.total_steps:
                    self._say(job.epoch, job.run.epochs, job.step, job.total_steps, job.loss, job.eta_seconds)
                elif not told and time.monotonic() - begun > WAITED_LONG and (why := _why_not_begun(job)):
                    self.stderr.write(why)
                    told = True
                time.sleep(POLL)
                job.refresh_from_db()
        except KeyboardInterrupt:
            return f"{job.run} goes on without being watched."
        return self._ended(job, job.message)

    def _say(self, epoch: int, epochs: int, step: int, total: int, loss: float | None, eta: float | None) -> None:
        loss_text = "" if loss is None else f", loss {loss:.4f}"
        eta_text = "" if eta is None else f", {eta:.0f} s left"
        self.stdout.write(f"epoch {epoch}/{epochs}, step {step}/{total}{loss_text}{eta_text}")

    def _ended(self, job: TrainingJob, sentence: str) -> str:
        job.refresh_from_db()
        if job.status in (Status.FAILED, Status.ERRORED):
            raise CommandError(f"{job.run}: {job.message}")
        epochs = TrainingRun.objects.get(pk=job.run_id).checkpoints.count()
        return f"{job.run}: {job.get_status_display()}, {epochs} epochs. {sentence}"


def _why_not_begun(job: TrainingJob) -> str:
    """What a job that has not begun waits for a person to do; "" where it waits for nobody."""
    if job.backend not in RENTED:
        return NO_QUEUE.format(run=job.run) if is_lost(job) else ""
    return "" if is_controlled() else NO_CONTROLLER
