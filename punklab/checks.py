"""System checks of what only the settings or the database can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from punklab import supabase


@register()
def queue_numbers(**_: Any) -> list[CheckMessage]:
    """The queue's numbers: a task is delivered once, never again while it runs, and one that fails is done with."""
    queue = settings.Q_CLUSTER
    found: list[CheckMessage] = []
    if not queue.get("timeout") or queue["timeout"] >= queue.get("retry", 60):
        found.append(
            Error(
                f"Q_CLUSTER: timeout {queue.get('timeout')} is not below retry {queue.get('retry', 60)}.",
                hint="A task that outlasts retry is delivered a second time while it runs: set timeout < retry.",
                id="punklab.E001",
            )
        )
    for name, wanted in (("workers", 1), ("max_attempts", 1), ("ack_failures", True)):
        if queue.get(name) != wanted:
            found.append(
                Error(
                    f"Q_CLUSTER: {name} is {queue.get(name)!r}.",
                    hint=f"Set it to {wanted!r}: one resident model per worker, and failures are swept by rows.",
                    id="punklab.E002",
                )
            )
    found.extend(
        Error(f"Q_CLUSTER: no cluster named {cluster!r}.", hint="Add it to ALT_CLUSTERS.", id="punklab.E003")
        for cluster in (settings.VISITORS_CLUSTER, settings.TESTS_CLUSTER)
        if cluster not in queue.get("ALT_CLUSTERS", {})
    )
    return found


PROMOTION_GATES = ("scores", "blind_win")


@register()
def promotion_gate(**_: Any) -> list[CheckMessage]:
    """The gate is one that promotion knows: a misspelt one would let everything through."""
    if settings.PROMOTION_GATE in PROMOTION_GATES:
        return []
    return [
        Error(
            f"PROMOTION_GATE is {settings.PROMOTION_GATE!r}.",
            hint=f"Set it to one of {', '.join(PROMOTION_GATES)}.",
            id="punklab.E005",
        )
    ]


@register(Tags.database)
def supabase_roles(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """No table of ours is reachable through Supabase's REST interface."""
    if not databases:
        return []
    return [
        Error(
            f"Supabase's roles can reach {name}.",
            hint="Run `manage.py migrate`: it enables row level security and revokes the grants.",
            id="punklab.E004",
        )
        for name in supabase.exposed()
    ]
