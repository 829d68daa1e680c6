"""What every run is compared with beside the base: `evaluation` knows of nothing, `deployment` of the live release."""

from __future__ import annotations

from django.contrib import admin

from runs.models import Checkpoint, TrainingRun


class Baselines:
    """The part of the ModelAdmin of runs that names them; the app that knows more registers its own."""

    def baselines(self) -> list[Checkpoint]:
        """Return the checkpoints whose pictures stand beside those of every run, their runs loaded."""
        return []


def baselines() -> list[Checkpoint]:
    """The checkpoints that the console's page of runs names. One query at most."""
    run_admin = admin.site.get_model_admin(TrainingRun)
    return run_admin.baselines() if isinstance(run_admin, Baselines) else []
