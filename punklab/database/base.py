"""Django's PostgreSQL backend, with the embedded server started by the first connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import OperationalError
from django.db.backends.postgresql import base

from punklab.database import server


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects to the server under `OPTIONS["data"]`, which it starts, also again after a crash."""

    def get_connection_params(self) -> dict[str, Any]:
        params = super().get_connection_params()
        try:
            params["host"] = str(server.ensure(Path(params.pop("data"))))
        except RuntimeError as error:
            raise OperationalError(str(error)) from error
        return params
