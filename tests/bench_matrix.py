"""The matrix, the desk, the lists: as many queries with 10,000 epochs in the database as with 101, and not much slower.

Leaves nothing in the database. Times are the server's, of whole answers, with both kinds of pictures named, none read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "punklab.settings")
EPOCHS, PROMPTS = 50, 20  # of the page of 1,000 cells
RUNS_MORE, EPOCHS_MORE = 500, 20  # 10,000 epoch results, 200,000 prompt test results and as many test renders
ROUNDS = 20
SLOWER = 2.0  # times: what a full database may cost the same page
LONGER = ("the list of epochs", "the list of runs", "the first page")  # they show more rows when there are more
SLACK = 0.02  # seconds that a loaded machine adds to the shortest page
WANTED_P95 = 300  # milliseconds on 2 cores: told, not bounded, since a day's load says more about it than the code

_MORE = (
    """INSERT INTO training_runs (run_name, run_date, status, base_model, model_type)
    SELECT 'more-' || r, now(), 'completed', 'miniature', 'other' FROM generate_series(1, %(runs)s) r""",
    """INSERT INTO punklab_checkpoint (run_id, epoch, file, original_name, sha256, size, base_model, base_fingerprint,
        header, source, created_at)
    SELECT id, e, 'x', '', md5(id || '-' || e) || md5(e::text), 1, 'miniature', '', '{}', 'trained', now()
    FROM training_runs, generate_series(1, %(epochs)s) e WHERE run_name LIKE 'more-%%'""",
    """INSERT INTO epoch_results (training_run_id, epoch_number, num_test_images, verdict, visual_quality_score,
        style_match_score, prompt_adherence_score)
    SELECT id, e, 20, 'good', 7, 7, 7
    FROM training_runs, generate_series(1, %(epochs)s) e WHERE run_name LIKE 'more-%%'""",
    """INSERT INTO prompt_test_results (epoch_result_id, test_prompt_id, correct_hair_color, is_pixel_art)
    SELECT e.id, p.id, true, true FROM epoch_results e JOIN training_runs r ON r.id = e.training_run_id,
        test_prompts p WHERE r.run_name LIKE 'more-%%' AND p.prompt_name LIKE 'bench-%%'""",
    """INSERT INTO punklab_test_render (checkpoint_id, test_prompt_id, request, status, attempts, message, raw, finished,
        device, queued_at, digest, priority, is_repeat, result_id)
    SELECT c.id, t.test_prompt_id, '{"prompt": "a punk", "seed": 42}', 'rendered', 1, '', 'r.png', 'f.png', 'cpu', now(),
        md5(t.id::text), 0, false, t.id
    FROM prompt_test_results t JOIN epoch_results e ON e.id = t.epoch_result_id
        JOIN training_runs r ON r.id = e.training_run_id
        JOIN punklab_checkpoint c ON c.run_id = e.training_run_id AND c.epoch = e.epoch_number
    WHERE r.run_name LIKE 'more-%%'""",
)


def main() -> int:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)
    django.setup()
    from django.db import connection, transaction  # noqa: PLC0415 - needs the settings
    from django.urls import reverse  # noqa: PLC0415

    from evaluation.models import EpochResult, PromptTestResult, TestPrompt  # noqa: PLC0415
    from tests import console_rows, matrix_rows  # noqa: PLC0415

    with transaction.atomic():
        client = console_rows.publisher()
        prompts = TestPrompt.objects.bulk_create(
            TestPrompt(prompt_name=f"bench-{n}", prompt_text="a punk") for n in range(PROMPTS)
        )
        small = matrix_rows.drawn_run(1, prompts, files=False)
        large, other = (matrix_rows.drawn_run(EPOCHS, prompts, files=False) for _ in range(2))
        desk = EpochResult.objects.get(training_run=large, epoch_number=2)
        pages = {
            "20 cells": reverse("evaluation:compare", args=(small.pk,)),
            "1,000 cells": reverse("evaluation:compare", args=(large.pk,)),
            "1,000 cells of two runs": reverse("evaluation:compare", args=(large.pk,)) + f"?run={other.pk}&epochs=1-25",
            "its progress": reverse("evaluation:comparison_progress", args=(large.pk,)),
            "the desk of an epoch": reverse("evaluation:review_epoch", args=(desk.pk,)),
            "the list of epochs": reverse("admin:evaluation_epochresult_changelist"),
            "the list of runs": reverse("admin:runs_trainingrun_changelist"),
            "the first page": reverse("admin:index"),
        }
        few = {name: _measured(client, address) for name, address in pages.items()}
        with connection.cursor() as cursor:
            for statement in _MORE:
                cursor.execute(statement, {"runs": RUNS_MORE, "epochs": EPOCHS_MORE})
            cursor.execute("ANALYZE")
        told = (
            f"{EpochResult.objects.count():,} epoch results, {PromptTestResult.objects.count():,} prompt test results"
        )
        missed = 0
        for name, address in pages.items():
            queries, times, cpu = _measured(client, address)
            before = min(few[name][1])
            is_slower = min(times) > SLOWER * before + SLACK
            missed += queries != few[name][0] or (is_slower and name not in LONGER)
            sys.stdout.write(
                f"{name}: {few[name][0]} queries, {queries} with {told}; least {1000 * min(times):.0f} ms, "
                f"p95 {1000 * sorted(times)[int(0.95 * ROUNDS) - 1]:.0f} ms (wanted: {WANTED_P95}), its own CPU {1000 * cpu:.0f} ms, {min(times) / before:.2f} times the least before\n"
            )
        missed += few["20 cells"][0] != few["1,000 cells"][0]
        transaction.set_rollback(True)
    sys.stdout.write(
        f"bound: the same number of queries, at most {SLOWER:g} times the time, but for {', '.join(LONGER)}\n"
    )
    return int(missed > 0)


def _measured(client, address: str) -> tuple[int, list[float], float]:
    from tests import console_rows  # noqa: PLC0415 - needs the settings

    queries, _ = console_rows.count_queries(client, address)
    times = []
    spent = time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.get(address)
        times.append(time.perf_counter() - began)
    return queries, times, (time.process_time() - spent) / ROUNDS


if __name__ == "__main__":
    sys.exit(main())
