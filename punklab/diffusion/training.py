"""LoRA training from the config that kohya reads. `train` is the entrance; one call trains one plan in this process.

Everything random follows from the seed and the place in the training, so that a training that was killed and started
again ends with the same bytes as one that was not.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punklab.diffusion import lora
from punklab.diffusion.training_adapter import Adapter, Parts, load_parts, make_optimizer, precision
from punklab.diffusion.training_data import Batch, TrainingData, read_training_data
from punklab.diffusion.training_metadata import metadata_of
from punklab.diffusion.training_noise import NoiseTable, draw
from punklab.diffusion.training_plan import TrainingError, TrainingPlan
from punklab.diffusion.training_state import (
    Position,
    check_disk,
    disk_errors_named,
    load_position,
    load_state,
    locked,
    save_state,
)
from punklab.diffusion.training_views import Latents, Texts

if TYPE_CHECKING:
    import torch

__all__ = ["Ending", "Outcome", "Progress", "Trainer", "TrainingError", "TrainingPlan", "train"]


class Ending(StrEnum):
    FINISHED = "finished"
    STOPPED = "stopped"  # `should_stop` said so; the state is saved and the next call goes on


@dataclass(frozen=True, kw_only=True)
class Progress:
    """After each optimizer step, and (with `checkpoint`) after each saved epoch."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float  # averaged over the last epoch's worth of batches, as kohya shows it
    learning_rate: float  # of the UNet, or of the text encoder where only that is trained
    eta_seconds: float
    images_per_second: float
    checkpoint: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    ending: Ending
    checkpoints: tuple[Path, ...]  # all of this training that are on disk, in order of epoch
    step: int
    total_steps: int
    loss: float
    seconds: float  # of work, resumptions included
    notes: tuple[str, ...]  # what was done otherwise than asked, and why


@dataclass(frozen=True, kw_only=True)
class _Length:
    batches: int  # an epoch
    steps: int  # optimizer steps an epoch
    total: int
    epochs: int


def train(
    plan: TrainingPlan,
    *,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Outcome:
    """Carry the plan out, or go on where its state folder says it was left.

    `should_stop` is asked after every optimizer step. Raises TrainingError for bad input, a plan or data that changed
    since the state was saved, another trainer on the same state folder, a full disk and a loss that is no number.
    """
    with locked(plan.state_dir):
        _sweep(plan)
        return Trainer(plan).run(on_progress, should_stop)


class Trainer:
    """Loaded models, data and state of one plan; `parts` may be given where they are loaded already (they are changed).

    The caller holds the lock of the state folder.
    """

    def __init__(self, plan: TrainingPlan, parts: Parts | None = None) -> None:
        import torch

        self.plan = plan
        self.data = read_training_data(plan)
        self.length = _length_of(plan, self.data)
        self.position = self._position()
        self.parts = parts or load_parts(plan)
        self.latents = Latents(self.parts, plan, self.data)
        self.texts = Texts(self.parts, plan, self.data)
        self.adapter = Adapter(self.parts, plan)
        self.noise = NoiseTable(self.parts.scheduler_config, plan, plan.device)
        self.optimizer, self.rates, self.notes = make_optimizer(self.adapter, plan)
        self.used_precision = precision(plan)
        if self.used_precision != plan.mixed_precision:
            self.notes.append(f"{plan.mixed_precision} needs a CUDA GPU: trained in 32 bits.")
        scaled = self.used_precision == "fp16"
        self.scaler = torch.amp.GradScaler("cuda") if scaled else None
        self.trained = [tensor for group in self.optimizer.param_groups for tensor in group["params"]]
        self.save_dtype = getattr(torch, plan.save_precision)
        self._autocast: Callable[[], Any] = nullcontext
        if self.used_precision != "no":
            dtype = torch.float16 if scaled else torch.bfloat16
            self._autocast = lambda: torch.autocast(plan.device.split(":")[0], dtype=dtype)
        if self.position.step:
            load_state(plan.state_dir, self.adapter.tensors, self.optimizer, self.scaler)

    def run(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> Outcome:
        self._check_disk()
        position = self.position
        self._begun = time.monotonic() - position.seconds
        self._save_epoch_if_missing(on_progress)
        saved_at = time.monotonic()
        while position.step < self.length.total:
            self.step()
            position.seconds = time.monotonic() - self._begun
            on_progress(self._progress())
            if position.batch == 0 or position.step == self.length.total:
                self._save_state()
                saved_at = time.monotonic()
                self._save_epoch_if_missing(on_progress)
            stop = position.step < self.length.total and should_stop()
            if stop or time.monotonic() - saved_at > self.plan.state_every_seconds:
                self._save_state()
                saved_at = time.monotonic()
            if stop:
                return self._outcome(Ending.STOPPED)
        return self._outcome(Ending.FINISHED)

    def step(self) -> None:
        """One optimizer step: as many batches as are accumulated, fewer at the end of an epoch."""
        position, plan = self.position, self.plan
        self._set_rates()
        last = min(position.batch + plan.gradient_accumulation_steps, self.length.batches)
        losses = []
        for number in range(position.batch, last):
            loss = self.loss_of(self.batch(position.epoch, number), position.epoch, number)
            whole = loss / plan.gradient_accumulation_steps
            (self.scaler.scale(whole) if self.scaler else whole).backward()
            losses.append(loss.detach())
        values = [float(loss) for loss in losses]
        if not all(math.isfinite(value) for value in values):
            raise TrainingError(
                f"The loss became {values} at step {position.step + 1}: the rates are too high or a picture is odd; "
                "lower `unet_lr` and `text_encoder_lr`. The state before it is kept."
            )
        self._optimize()
        position.losses[position.batch : last] = values
        position.step += 1
        position.batch = last
        if last == self.length.batches:
            position.epoch, position.batch = position.epoch + 1, 0

    def loss_of(self, batch: Batch, epoch: int, number: int) -> torch.Tensor:
        """The mean loss of a batch, ready for `backward`."""
        from torch.nn import functional

        latents = self.latents.of(batch, epoch, number)
        drawn, steps = draw(self.plan, tuple(latents.shape), self.noise.steps, epoch, number)
        noise, steps = drawn.to(latents.device), steps.to(latents.device)
        mixed = self.noise.mixed(latents, noise, steps)
        with self._autocast():
            texts = self.texts.of(batch)
            answer = self.parts.unet(mixed.to(self.parts.unet.dtype), steps, texts, return_dict=False)[0]
        target = self.noise.target(latents, noise, steps)
        if self.noise.weights is None:
            return functional.mse_loss(answer.float(), target)
        each = functional.mse_loss(answer.float(), target, reduction="none").mean(dim=(1, 2, 3))
        weighted: torch.Tensor = (each * self.noise.weights[steps]).mean()
        return weighted

    def _optimize(self) -> None:
        import torch

        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        if self.plan.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, self.plan.max_grad_norm, foreach=True)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _set_rates(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.plan.schedule.factor(self.position.step, self.length.total, rate)

    def batch(self, epoch: int, number: int) -> Batch:
        """Batch `number` (from 0) of an epoch (from 1); asked for in order, the epoch's order is drawn once."""
        if getattr(self, "_next", None) != (epoch, number):
            self._batches = self.data.batches(self.plan, epoch, number)
        self._next = (epoch, number + 1)
        return next(self._batches)

    def _position(self) -> Position:
        deciding = {**self.plan.deciding(), "data": self.data.digest}
        found = load_position(self.plan.state_dir)
        if found is None:
            return self._fresh(deciding)
        changed = sorted(key for key in deciding if found.deciding.get(key) != deciding[key])
        if changed:
            raise TrainingError(
                f"{self.plan.state_dir}: the saved state belongs to another training ({', '.join(changed)} differ); "
                "give that back, or use another state folder."
            )
        return found

    def _fresh(self, deciding: dict[str, Any]) -> Position:
        """A first start, which must not write over another training's files."""
        for epoch in [*range(1, self.length.epochs + 1), None]:
            path = self.plan.checkpoint_path(epoch)
            if path.exists():
                raise TrainingError(f"{path}: is there already; choose another `output_name` or folder.")
        return Position(started_at=time.time(), session=str(uuid.uuid4().int >> 96), deciding=deciding)

    def _check_disk(self) -> None:
        """Room for the checkpoints still to come and for two states: the old one stays until the new one is whole."""
        paths = [path for path, _ in _checkpoints(self.plan, self.length) if not path.exists()]
        size = self.adapter.checkpoint_bytes(self.save_dtype)
        numbers = sum(tensor.numel() for tensor in self.adapter.tensors.values())
        state = 2 * (3 * 4 * numbers + 2**20)
        need = {self.plan.output_dir: len(paths) * size}
        need[self.plan.state_dir] = need.get(self.plan.state_dir, 0) + state
        check_disk(need)

    def _save_state(self) -> None:
        save_state(self.plan.state_dir, self.position, self.adapter.tensors, self.optimizer, self.scaler)

    def _save_epoch_if_missing(self, on_progress: Callable[[Progress], None]) -> None:
        """Write the checkpoint of the epoch that has just ended. The state was saved before it: a file that is there is
        never written again, so that its SHA-256 stays."""
        position = self.position
        done = position.step == self.length.total
        if not position.step or (position.batch and not done):
            return
        epoch = self.length.epochs if done else position.epoch - 1
        path = {number: path for path, number in _checkpoints(self.plan, self.length)}.get(epoch)
        if path is None or path.exists():
            return
        facts = {
            "ss_epoch": epoch,
            "ss_steps": position.step,
            "ss_num_epochs": self.length.epochs,
            "ss_max_train_steps": self.length.total,
            "ss_session_id": position.session,
            "ss_training_started_at": position.started_at,
            "ss_training_finished_at": time.time(),
            "ss_mixed_precision": self.used_precision,
            "ss_optimizer": _optimizer_name(self.optimizer, self.plan),
        }
        with disk_errors_named(path):
            lora.save_lora(
                path, self.adapter.in_kohyas_names(self.save_dtype), metadata_of(self.plan, self.data, facts)
            )
        on_progress(self._progress(path))

    def _progress(self, checkpoint: Path | None = None) -> Progress:
        position, length = self.position, self.length
        epoch = position.epoch - 1 if position.batch == 0 else position.epoch
        pace = position.seconds / position.step
        images = len(self.data.repeated) / length.steps
        return Progress(
            step=position.step,
            total_steps=length.total,
            epoch=epoch,
            epochs=length.epochs,
            loss=self._average(),
            learning_rate=float(self.optimizer.param_groups[-1]["lr"]),
            eta_seconds=pace * (length.total - position.step),
            images_per_second=images / pace if pace else 0.0,
            checkpoint=checkpoint,
        )

    def _average(self) -> float:
        losses = self.position.losses
        return sum(losses) / len(losses) if losses else 0.0

    def _outcome(self, ending: Ending) -> Outcome:
        return Outcome(
            ending=ending,
            checkpoints=tuple(path for path, _ in _checkpoints(self.plan, self.length) if path.exists()),
            step=self.position.step,
            total_steps=self.length.total,
            loss=self._average(),
            seconds=self.position.seconds,
            notes=tuple(self.notes),
        )


def _length_of(plan: TrainingPlan, data: TrainingData) -> _Length:
    batches = data.batches_per_epoch(plan.train_batch_size)
    steps = math.ceil(batches / plan.gradient_accumulation_steps)
    total = plan.max_train_steps if plan.max_train_epochs is None else plan.max_train_epochs * steps
    return _Length(batches=batches, steps=steps, total=total, epochs=math.ceil(total / steps))


def _checkpoints(plan: TrainingPlan, length: _Length) -> list[tuple[Path, int]]:
    """The files that the training writes and their epochs; kohya gives the last one no number."""
    every = plan.save_every_n_epochs
    numbered = [epoch for epoch in range(1, length.epochs) if every and epoch % every == 0]
    return [
        *((plan.checkpoint_path(epoch), epoch) for epoch in numbered),
        (plan.checkpoint_path(None), length.epochs),
    ]


def _optimizer_name(optimizer: Any, plan: TrainingPlan) -> str:
    """kohya writes module, class and arguments."""
    kind = type(optimizer)
    arguments = ",".join(f"{name}={value}" for name, value in plan.optimizer_args.items())
    return f"{kind.__module__}.{kind.__name__}" + (f"({arguments})" if arguments else "")


def _sweep(plan: TrainingPlan) -> None:
    """Remove what a killed trainer left half-written; the lock is held, so nobody is writing."""
    name = plan.output_name or "*"
    for folder, pattern in ((plan.state_dir, ".*.part"), (plan.output_dir, f".{name}*.safetensors.*.part")):
        if folder.is_dir():
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
