"""Look after training jobs every minute."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations

NAME = "training jobs whose process is gone"


def create(apps, editor):
    apps.get_model("django_q", "Schedule").objects.update_or_create(
        name=NAME,
        defaults={
            "func": "runs.tasks.reconcile",
            "schedule_type": "I",
            "minutes": 1,
            "repeats": -1,
            "cluster": settings.REST_CLUSTER,
        },
    )


def remove(apps, editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0002_adopted_pictures"),
        ("django_q", "0018_task_success_index"),
    ]

    operations = [migrations.RunPython(create, remove)]
