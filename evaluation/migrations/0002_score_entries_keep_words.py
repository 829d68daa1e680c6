from __future__ import annotations

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0001_lab_tables")]

    operations = [
        migrations.AddField(
            model_name="scoreentry",
            name="issues",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                help_text="a person's word; null: not said",
                null=True,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="scoreentry",
            name="strengths",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                help_text="a person's word; null: not said",
                null=True,
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="scoreentry",
            name="visual_quality_score",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="scoreentry",
            name="style_match_score",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="scoreentry",
            name="prompt_adherence_score",
            field=models.FloatField(blank=True, null=True),
        ),
    ]
