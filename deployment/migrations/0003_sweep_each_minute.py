from __future__ import annotations

from django.db import migrations

NAME = "sweep punks and verifications"


def schedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.get_or_create(
        name=NAME,
        defaults={
            "func": "deployment.tasks.sweep",
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
        ("deployment", "0002_verifications"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]
