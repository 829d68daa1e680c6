from __future__ import annotations

from django.apps import AppConfig


class PunklabConfig(AppConfig):
    name = "punklab"
