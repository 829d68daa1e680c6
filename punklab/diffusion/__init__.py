"""Text in, image or LoRA out: the only place for torch."""

from __future__ import annotations

import os

# OpenMP's threads else spin while they wait: with two renderers on two cores one picture was seen to take 60 times as long.
# It is read when torch is first imported, which is never before this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
