"""Which run and epoch a past picture is of, by its name, its folder and what the lab's rows record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runs.adoption_files import plain_stem, split_epoch
from runs.adoption_matching import Belonging, Recorded
from runs.models import TrainingRun


@dataclass(kw_only=True)
class PictureEvidence:
    """What pictures can be told by. `checkpoints` are plain stems of known and planned checkpoints with their epochs."""

    runs: Sequence[TrainingRun]
    pictures: Sequence[Recorded] = ()
    folders: Sequence[Recorded] = ()
    checkpoints: Mapping[str, set[tuple[int, int]]] = field(default_factory=dict)

    def belonging(self, path: Path) -> Belonging | None:
        """Decide for one picture; None for one that nothing connects with the lab."""
        return self._recorded(path) or self._in_recorded_folder(path) or self._by_name(path)

    def _recorded(self, path: Path) -> Belonging | None:
        name = f"{plain_stem(path)}{path.suffix}"
        entries = [entry for entry in self.pictures if entry.name in (path.name, name)]
        same_folder = [entry for entry in entries if _folder(entry.path) == path.parent.name]
        return self._one(same_folder or entries, "a row records this picture")

    def _in_recorded_folder(self, path: Path) -> Belonging | None:
        entries = [entry for entry in self.folders if entry.name == path.parent.name]
        return self._one(entries, "a row records this folder of test pictures")

    def _by_name(self, path: Path) -> Belonging | None:
        stem = plain_stem(path)
        names = {run.output_name for run in self.runs if run.output_name and _begins(stem, run.output_name)}
        if not names:
            return None
        output_name = max(names, key=len)
        head, number = split_epoch(stem[: len(output_name) + 7])
        runs = [run for run in self.runs if run.output_name == output_name]
        if len(runs) == 1:
            epoch = number if head == output_name and number is not None else runs[0].max_train_epochs
            return self._told(runs[0], epoch, "it is named after the run's checkpoint")
        stem_of_checkpoint = output_name if number is None else f"{output_name}-{number:06d}"
        owners = self.checkpoints.get(stem_of_checkpoint, set())
        if len(owners) == 1:
            ((run_id, epoch),) = owners
            return self._told(self._run(run_id), epoch, "it is named after the one checkpoint of that name")
        return Belonging(
            run=None, epoch=None, reason=f"could be of {', '.join(str(run) for run in runs)}: they share an output name"
        )

    def _one(self, entries: Sequence[Recorded], reason: str) -> Belonging | None:
        owners = {(entry.run_id, entry.epoch) for entry in entries}
        if not owners:
            return None
        if len(owners) > 1:
            return Belonging(run=None, epoch=None, reason="rows of several epochs record a file of that name")
        ((run_id, epoch),) = owners
        return self._told(self._run(run_id), epoch, reason)

    def _told(self, run: TrainingRun | None, epoch: int | None, reason: str) -> Belonging:
        if run is None or epoch is None:
            return Belonging(run=None, epoch=None, reason=f"{reason}, but which epoch it is cannot be told")
        return Belonging(run=run, epoch=epoch, reason=reason)

    def _run(self, run_id: int) -> TrainingRun | None:
        return next((run for run in self.runs if run.pk == run_id), None)


def _begins(stem: str, output_name: str) -> bool:
    """Whether the name goes on after `output_name` with an epoch, a separator or nothing."""
    rest = stem.removeprefix(output_name)
    return stem.startswith(output_name) and rest[:1] in ("", "-", "_", " ", ".")


def _folder(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).parent.name
