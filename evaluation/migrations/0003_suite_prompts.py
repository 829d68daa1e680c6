from __future__ import annotations

from django.db import migrations

from evaluation.prompts import COMPARISON, NEGATIVE_PROMPT, SEED


def fill(apps, _editor):
    """The lab's six prompts, in their order; rows that she has under these names stay as they are."""
    prompts = apps.get_model("evaluation", "TestPrompt").objects
    places = apps.get_model("evaluation", "SuitePrompt").objects
    for each in COMPARISON:
        # Her table may have lost the constraint that makes a name unique
        prompt = prompts.filter(prompt_name=each.name).order_by("id").first() or prompts.create(
            prompt_name=each.name,
            prompt_text=each.text,
            negative_prompt=NEGATIVE_PROMPT,
            purpose=each.purpose,
            expected_result=each.expected,
        )
        if not places.filter(test_prompt=prompt).exists():
            last = places.order_by("-position").first()
            places.create(test_prompt=prompt, position=last.position + 1 if last else 1, seed=SEED)


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0002_score_entries_keep_words")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
