from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from evaluation import simulation


class Command(BaseCommand):
    help = "What each patience costs on simulated runs: regret in points, and the share of epochs saved."

    def handle(self, **options: Any) -> str:
        """Return a Markdown table."""
        found = simulation.costs()
        head = ["rule", "regret", "saved", *found.shapes]
        lines = [head, ["---"] * len(head)]
        for cost in found.costs:
            shapes = [f"{regret:.2f}, {100 * saved:.0f} %" for regret, saved in cost.by_shape]
            rule = f"{cost.rule} (default)" if cost.is_default else cost.rule
            lines.append([rule, f"{cost.regret:.2f}", f"{100 * cost.saved:.0f} %", *shapes])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
