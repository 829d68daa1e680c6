"""A stand-in for kohya's sd-scripts: a git repository whose `train_network.py` prints and writes as kohya does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("train_network.py")


def make_repository(
    folder: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], *, requirements: str = ""
) -> str:
    """A repository in a new folder; returns its commit. `shapes` and `metadata` are those of the LoRAs that it writes."""
    folder.mkdir(parents=True)
    (folder / "train_network.py").write_bytes(SCRIPT.read_bytes())
    (folder / "requirements.txt").write_text(requirements)
    (folder / "lora.json").write_text(json.dumps({"shapes": shapes, "metadata": metadata}))
    identity = ["-c", "user.name=stand-in", "-c", "user.email=stand-in@example.org", "-c", "commit.gpgsign=false"]
    for argv in (["init", "--quiet", "-b", "main"], ["add", "."], [*identity, "commit", "--quiet", "-m", "Stand in"]):
        subprocess.run(["git", "-C", str(folder), *argv], check=True, capture_output=True)
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()
