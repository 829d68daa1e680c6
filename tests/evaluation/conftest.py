from __future__ import annotations

import pytest
from django.utils import timezone

from evaluation.suite_models import SuitePrompt


@pytest.fixture
def six_prompts(db: None) -> None:
    """The suite as the lab had it: its six prompts, the others retired."""
    SuitePrompt.objects.filter(position__gt=6).update(retired_at=timezone.now())
