"""`make bench`: what the site costs, as ratios measured in one run. Ends with status 1 when a bound is missed."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    ("rendering a comparison", "punklab.diffusion.bench"),
    ("training", "punklab.diffusion.training_bench"),
    ("checking captions", "runs.caption_bench"),
    ("measuring pictures", "tests.bench_measures"),
    ("the web process", "tests.bench_web"),
    ("the console's lists", "tests.bench_console"),
    ("the matrix", "tests.bench_matrix"),
)


def main() -> int:
    missed = []
    for title, module in BENCHES:
        sys.stdout.write(f"\n{title} ({module})\n")
        sys.stdout.flush()
        if subprocess.run([sys.executable, "-m", module], check=False).returncode:
            missed.append(title)
    sys.stdout.write(f"\nmissed: {', '.join(missed)}\n" if missed else "\nevery bound is kept\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
