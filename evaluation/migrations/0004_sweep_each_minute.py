from __future__ import annotations

from django.db import migrations

SCHEDULES = {
    "test the new checkpoints": "evaluation.suite.queue_untested",
    "sweep test renders": "evaluation.tasks.sweep",
}


def schedule(apps, _editor):
    for name, func in SCHEDULES.items():
        apps.get_model("django_q", "Schedule").objects.get_or_create(
            name=name,
            defaults={"func": func, "schedule_type": "I", "minutes": 1, "repeats": -1, "cluster": "punklab"},
        )


def unschedule(apps, _editor):
    apps.get_model("django_q", "Schedule").objects.filter(name__in=SCHEDULES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("evaluation", "0003_suite_prompts"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]
