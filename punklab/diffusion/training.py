"""LoRA training from the config that kohya reads. `train` is the entrance; one call trains one plan in this process.

Everything random follows from the seed and the place in the training, so that a training that was killed and started
again ends, on the CPU, with the same bytes as one that was not.
"""

from __future__ import annotations

import glob
import math
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punklab.diffusion import lora
from punklab.diffusion.training_adapter import Adapter, Parts, load_parts, make_optimizer, precision
from punklab.diffusion.training_data import Batch, read_training_data
from punklab.diffusion.training_length import checkpoints_of, length_of
from punklab.diffusion.training_metadata import metadata_of
from punklab.diffusion.training_noise import NoiseTable, draw
from punklab.diffusion.training_plan import TrainingError, TrainingPlan
from punklab.diffusion.training_report import Ending, Outcome, Progress
from punklab.diffusion.training_state import (
    Position,
    check_disk,
    close_state,
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
        saved = load_position(plan.state_dir)
        if saved is not None and saved.closed:
            return _closed_outcome(plan, saved)
        return Trainer(plan).run(on_progress, should_stop)


class Trainer:
    """Loaded models, data and state of one plan; `parts` may be given where they are loaded already (they are changed).

    The caller holds the lock of the state folder.
    """

    def __init__(self, plan: TrainingPlan, parts: Parts | None = None) -> None:
        import torch

        self.plan = plan
        self.data = read_training_data(plan)
        self.length = length_of(plan, self.data)
        self.position = self._position()
        self.parts = parts or load_parts(plan)
        self.latents = Latents(self.parts, plan, self.data)
        self.texts = Texts(self.parts, plan, self.data)
        self.adapter = Adapter(self.parts, plan)
        self.noise = NoiseTable(self.parts.scheduler_config, plan, plan.device)
        self.optimizer, self.rates, said = make_optimizer(self.adapter, plan)
        self.notes = [*plan.notes, *said]
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
        position.closed, position.notes = True, self.notes
        close_state(self.plan.state_dir, position)
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
        self._refuse_no_numbers("loss", values)
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
        limit = self.plan.max_grad_norm or math.inf  # 0 means no limit to kohya
        norm = torch.nn.utils.clip_grad_norm_(self.trained, limit, foreach=True)
        if self.scaler:  # it leaves a step out whose gradients overflow
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self._refuse_no_numbers("gradient", [float(norm)])
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _refuse_no_numbers(self, what: str, values: list[float]) -> None:
        if not all(math.isfinite(value) for value in values):
            raise TrainingError(
                f"The {what} became {values} at step {self.position.step + 1}: the rates are too high or a picture is "
                "odd; lower `unet_lr` and `text_encoder_lr`. The state before it is kept."
            )

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
        _refuse_changes(self.plan, deciding, found)
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
        paths = [path for path, _ in checkpoints_of(self.plan, self.length) if not path.exists()]
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
        path = {number: path for path, number in checkpoints_of(self.plan, self.length)}.get(epoch)
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
            loss=self.position.average,
            learning_rate=float(self.optimizer.param_groups[-1]["lr"]),
            eta_seconds=pace * (length.total - position.step),
            images_per_second=images / pace if pace else 0.0,
            checkpoint=checkpoint,
        )

    def _outcome(self, ending: Ending) -> Outcome:
        return Outcome(
            ending=ending,
            checkpoints=tuple(path for path, _ in checkpoints_of(self.plan, self.length) if path.exists()),
            step=self.position.step,
            total_steps=self.length.total,
            loss=self.position.average,
            seconds=self.position.seconds,
            notes=tuple(self.notes),
        )


def _refuse_changes(plan: TrainingPlan, deciding: dict[str, Any], saved: Position) -> None:
    changed = sorted(key for key in deciding if saved.deciding.get(key) != deciding[key])
    if changed:
        raise TrainingError(
            f"{plan.state_dir}: the saved state belongs to another training ({', '.join(changed)} differ); "
            "give that back, or use another state folder."
        )


def _closed_outcome(plan: TrainingPlan, saved: Position) -> Outcome:
    """What a training that ended before says again, without loading anything."""
    _refuse_changes(plan, plan.deciding(), saved)
    every = saved.epoch - 1 if saved.batch == 0 else saved.epoch
    paths = [*(plan.checkpoint_path(epoch) for epoch in range(1, every)), plan.checkpoint_path(None)]
    return Outcome(
        ending=Ending.FINISHED,
        checkpoints=tuple(path for path in paths if path.exists()),
        step=saved.step,
        total_steps=saved.step,
        loss=saved.average,
        seconds=saved.seconds,
        notes=tuple(saved.notes),
    )


def _optimizer_name(optimizer: Any, plan: TrainingPlan) -> str:
    """kohya writes module, class and arguments."""
    kind = type(optimizer)
    arguments = ",".join(f"{name}={value}" for name, value in plan.optimizer_args.items())
    return f"{kind.__module__}.{kind.__name__}" + (f"({arguments})" if arguments else "")


def _sweep(plan: TrainingPlan) -> None:
    """Remove what a killed trainer left half-written; the lock is held, so nobody is writing."""
    name = glob.escape(plan.output_name) if plan.output_name else "*"
    for folder, pattern in ((plan.state_dir, ".*.part"), (plan.output_dir, f".{name}*.safetensors.*.part")):
        if folder.is_dir():
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
