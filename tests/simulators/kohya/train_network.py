"""Stands in for kohya's train_network.py, with the standard library alone: its options, log, files and states.

What it does beyond training is told by `standin.json` in the volume's root: `step_seconds`, `steps_per_epoch`,
`die_at` (a list: the n-th start dies at that step), `stall_at`, `say` (a last line before dying), `torn` (the start that dies
in the middle of writing an epoch), `state_bytes` (the size of a state).

Resuming counts as sd-scripts 0.9.1 does, oddities included: `train_network.py` there, from "calculate steps to skip".
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def options():
    parser = argparse.ArgumentParser()
    for name in ("config_file", "train_data_dir", "output_dir", "output_name", "resume"):
        parser.add_argument(f"--{name}")
    for name in ("max_train_epochs", "initial_epoch", "initial_step"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--save_state", action="store_true")
    parser.add_argument("--skip_until_initial_step", action="store_true")
    given = parser.parse_args()
    with open(given.config_file, "rb") as file:
        config = tomllib.load(file)
    flat: dict = {}
    for key, value in config.items():
        flat.update(value if isinstance(value, dict) else {key: value})
    for key, value in flat.items():
        if getattr(given, key, None) in (None, False):
            setattr(given, key, value)
    return given


def standin(output_dir):
    for folder in (Path(output_dir).resolve(), *Path(output_dir).resolve().parents):
        if (folder / "standin.json").is_file():
            return folder, json.loads((folder / "standin.json").read_text())
    return Path(output_dir), {}


def count_start(folder):
    path = folder / "standin-starts"
    n = int(path.read_text()) if path.exists() else 0
    path.write_text(str(n + 1))
    return n


def lora(epoch, given):
    facts = json.loads((HERE / "lora.json").read_text())
    header = {"__metadata__": {**facts["metadata"], "ss_epoch": str(epoch), "ss_output_name": given.output_name}}
    rng, body = random.Random(epoch), b""
    for name, shape in facts["shapes"].items():
        count = 1
        for length in shape:
            count *= length
        data = struct.pack(f"<{count}e", *(rng.uniform(-0.1, 0.1) for _ in range(count)))
        if not shape:
            data = struct.pack("<e", 2.0)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def save(given, epoch, last, *, tear):
    name = given.output_name if last else f"{given.output_name}-{epoch:06d}"
    path = Path(given.output_dir) / f"{name}.safetensors"
    print(f"\nsaving checkpoint: {path}", flush=True)
    content = lora(epoch, given)
    refuse_beyond_quota(path.parent, len(content))
    with path.open("wb") as file:  # in place, as kohya does
        file.write(content[: len(content) // 2])
        file.flush()
        if tear:
            os._exit(1)
        time.sleep(0.05)
        file.write(content[len(content) // 2 :])
    return name


def save_state(given, name, epoch, step, size):
    refuse_beyond_quota(Path(given.output_dir), size)
    state = Path(given.output_dir) / f"{name}-state"
    state.mkdir(exist_ok=True)
    (state / "train_state.json").write_text(json.dumps({"current_epoch": epoch, "current_step": step}))
    with (state / "optimizer.bin").open("wb") as file:  # in place and in pieces too
        file.write(bytes(size // 2))
        file.flush()
        time.sleep(0.02)
        file.write(bytes(size - size // 2))


def refuse_beyond_quota(folder, size):
    """As the file system of a full network volume does; a folder's own quota is not felt otherwise."""
    for volume in folder.resolve().parents:
        if (volume / ".quota").is_file():
            used = sum(path.lstat().st_size for path in volume.rglob("*") if path.is_file())
            if used + size > int((volume / ".quota").read_text()):
                raise OSError(122, "Disk quota exceeded")


def resumption(given, per_epoch):
    """The epochs to skip, the count of steps to begin with, and what the bar counts up to."""
    total = given.max_train_epochs * per_epoch
    steps = 0
    if given.initial_step is not None:
        steps = given.initial_step
    elif given.initial_epoch is not None:
        steps = (given.initial_epoch - 1) * per_epoch
    elif given.resume:
        steps = json.loads((Path(given.resume) / "train_state.json").read_text())["current_step"]
    assert total > steps, f"max_train_steps should be greater than initial step: {total} vs {steps}"
    skipped = steps // per_epoch
    return skipped, (steps - skipped * per_epoch if given.skip_until_initial_step else 0), total - steps


def main():
    given = options()
    folder, told = standin(given.output_dir)
    start = count_start(folder)
    per_epoch, pause = told.get("steps_per_epoch", 10), told.get("step_seconds", 0.01)
    epochs = given.max_train_epochs
    if given.resume:  # what was saved must be readable
        assert len((Path(given.resume) / "optimizer.bin").read_bytes()) == told.get("state_bytes", 1000), "torn state"
    skipped, global_step, of = resumption(given, per_epoch)
    print("prepare images.", flush=True)
    print("caching latents...", flush=True)
    print("running training / 学習開始")
    print(f"  num train images * repeats / 学習画像の数×繰り返し回数: {per_epoch}")
    print(f"  num batches per epoch / 1epochのバッチ数: {per_epoch}")
    print(f"  num epochs / epoch数: {epochs}")
    print(f"  total optimization steps / 学習ステップ数: {epochs * per_epoch}", flush=True)
    dies = told.get("die_at", [])
    die_at = dies[start] if start < len(dies) else None
    done = 0
    for epoch in range(skipped + 1, epochs + 1):
        print(f"\nepoch {epoch}/{epochs}\n", flush=True)
        for step in range((epoch - 1) * per_epoch, epoch * per_epoch):
            if die_at is not None and step >= die_at:
                print(told.get("say", "Traceback: it died"), flush=True)
                sys.exit(1)
            if step == told.get("stall_at"):
                time.sleep(3600)
            time.sleep(pause)
            done, global_step = done + 1, global_step + 1
            left = int((of - done) * pause)
            bar = f"steps: {100 * done // of:3d}%|{'█' * 4}      | {done}/{of} [00:01<{left // 60:02d}:{left % 60:02d}, 20.00it/s, avr_loss={0.1 / (1 + step):.4f}]"
            sys.stderr.write("\r" + bar)
            sys.stderr.flush()
        last = epoch == epochs
        if last and given.save_state:
            save_state(given, given.output_name, epoch, global_step, told.get("state_bytes", 1000))
        name = save(given, epoch, last, tear=told.get("torn") == start and epoch == told.get("torn_epoch", 1))
        if given.save_state and not last:
            save_state(given, name, epoch, global_step, told.get("state_bytes", 1000))
    print("\nmodel saved.", flush=True)


main()
