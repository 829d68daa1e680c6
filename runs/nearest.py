"""The past runs most like a new one, and how they ended: what it may cost is seen before it is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runs.models import TrainingRun

N_NEAREST = 3
# What moved results most in the lab weighs more: the size of the network, then the captions and the rates.
WEIGHTS = {
    "network_dim": 3.0,
    "caption_version": 2.0,
    "learning_rate": 2.0,
    "unet_lr": 2.0,
    "text_encoder_lr": 1.0,
    "network_alpha": 1.0,
    "resolution": 1.0,
    "optimizer_type": 1.0,
    "lr_scheduler": 1.0,
    "train_batch_size": 1.0,
    "noise_offset": 1.0,
    "min_snr_gamma": 1.0,
    "max_train_epochs": 0.5,
}
ENDED = ("success", "partial", "failure")


@dataclass(frozen=True, kw_only=True)
class Near:
    """A past run that ended, and in which parameters it differs."""

    run: TrainingRun
    differs: tuple[str, ...]
    distance: float

    @property
    def sentence(self) -> str:
        """How it ended, and how it differs."""
        score = "" if self.run.quality_score is None else f", {self.run.quality_score} of 10"
        told = ", ".join(self.differs) or "nothing that is known"
        return f"{self.run} ({self.run.overall_verdict}{score}; differs in {told})"


def nearest(run: TrainingRun, n: int = N_NEAREST) -> list[Near]:
    """The closed runs of the same kind of model that differ least, the nearest first; of equals the latest."""
    past = TrainingRun.objects.filter(overall_verdict__in=ENDED, model_type=run.model_type).exclude(pk=run.pk)
    found = [_near(run, other) for other in past.order_by("-run_date", "-pk")]
    return sorted(found, key=lambda near: near.distance)[:n]


def all_failed(near: Sequence[Near]) -> bool:
    """Whether there are any, and none of them was at least a partial success."""
    return bool(near) and all(one.run.overall_verdict == "failure" for one in near)


def _near(run: TrainingRun, other: TrainingRun) -> Near:
    pairs = [(name, getattr(run, name), getattr(other, name)) for name in WEIGHTS]
    # What a row does not say is no difference
    differs = tuple(name for name, mine, theirs in pairs if None not in (mine, theirs) and mine != theirs)
    unknown = sum(theirs is None for _, _, theirs in pairs) / len(WEIGHTS)
    distance = sum(WEIGHTS[name] for name in differs) + unknown + (run.base_model != other.base_model)
    return Near(run=other, differs=differs, distance=distance)
