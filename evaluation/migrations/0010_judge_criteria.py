"""Look at the criteria of runs every minute."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations

NAME = "judge the runs' criteria"


def schedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.update_or_create(
        name=NAME,
        defaults={
            "func": "evaluation.criteria.check",
            "schedule_type": "I",
            "minutes": 1,
            "repeats": -1,
            "cluster": settings.REST_CLUSTER,
        },
    )


def unschedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0009_suite_rules"), ("runs", "0007_plans")]

    operations = [migrations.RunPython(schedule, unschedule)]
