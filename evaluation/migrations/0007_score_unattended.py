from __future__ import annotations

from django.db import migrations

NAME = "score unattended"


def schedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.get_or_create(
        name=NAME,
        defaults={
            "func": "evaluation.scoring.score_unattended",
            "schedule_type": "I",
            "minutes": 1,
            "repeats": -1,
            "cluster": "punklab",
        },
    )


def unschedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("evaluation", "0006_reviewers"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]
