from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class PunklabConfig(AppConfig):
    name = "punklab"

    def ready(self) -> None:
        from punklab import checks, runpod_checks  # noqa: F401, PLC0415 - registers the system checks

        # The last app that has models: by then every table and permission is there.
        post_migrate.connect(_after_migrate, sender=apps.get_app_config("deployment"))


class ConsoleConfig(AdminConfig):
    default_site = "punklab.console.ConsoleSite"


def _after_migrate(**_: Any) -> None:
    from punklab import roles, supabase  # noqa: PLC0415 - needs the models

    supabase.secure()
    roles.sync()
