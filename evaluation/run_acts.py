"""What `evaluation` adds to what a person may do with a run: closing it writes its story."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User

from evaluation.closing import close
from evaluation.epoch_acts import CANCEL_RUN, QUEUE_RUN
from evaluation.matrix_acts import CANCEL_COMPARISON, START_COMPARISON, WEIGHTS_OF_RUN
from evaluation.trend_acts import CHOOSE_BEST, PATIENCE
from runs.models import TrainingRun
from runs.run_acts import RUN_ACTS


def _close(run: TrainingRun, by: User, given: dict[str, Any]) -> str:
    verdict = given.pop("verdict")
    close(run, verdict, by=by, **given)
    return f"{run} is closed as {verdict}, and its story is written."


EVALUATED_RUN_ACTS = (
    *(replace(act, perform=_close) if act.name == "close" else act for act in RUN_ACTS),
    QUEUE_RUN,
    CANCEL_RUN,
    START_COMPARISON,
    CANCEL_COMPARISON,
    WEIGHTS_OF_RUN,
    CHOOSE_BEST,
    PATIENCE,
)
