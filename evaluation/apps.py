from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def import_models(self) -> None:
        """Import the app's tables; those of blind pairs, matrix and suite have modules of their own."""
        super().import_models()
        # They point at those of models.py, which therefore cannot import them.
        import_module("evaluation.blind_models")
        import_module("evaluation.matrix_models")
        import_module("evaluation.suite_models")
