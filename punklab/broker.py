"""Redis as the queue's broker, with the promise that the database's own broker gives: a task follows its row's commit."""

from __future__ import annotations

from django.db import transaction
from django_q.brokers.redis_broker import Redis


class CommittedRedis(Redis):  # type: ignore[misc]  # django-q ships no types
    """Hands a task over once the surrounding transaction is committed; one that is rolled back leaves no task."""

    def enqueue(self, task: str) -> None:
        """Queue the signed task. Returns nothing: its place in the list is not known before the commit."""
        transaction.on_commit(lambda: self.connection.rpush(self.list_key, task))
