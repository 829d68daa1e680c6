"""Many rows in every table that the console lists, for the tests and the bench of its lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from auditlog.models import LogEntry as Change
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.signing import SignedPackage

from deployment.models import Generation, Release, Verification
from evaluation.blind_models import BlindTest, Pair, Unblinding, Vote
from evaluation.matrix_models import ComparedPicture, FullComparison, WeightRender
from evaluation.models import EpochResult, PromptTestResult, ScoreEntry, TestPrompt, TestRender
from evaluation.renderjob import Status
from evaluation.suite_models import SuitePrompt, SuiteRule
from evaluation.trend_models import BestEpochChoice, RunPatience
from punklab import roles
from runs.caption_models import CaptionBatch, CaptionEdit, CaptionOrigin
from runs.models import (
    AdoptedPicture,
    Caption,
    CaptionVersion,
    Checkpoint,
    Controller,
    Lease,
    LossPoint,
    RunPlan,
    SavedFilter,
    TrainingImage,
    TrainingJob,
    TrainingRun,
)

MOST_QUERIES = 12
MOST_ON_FIRST_PAGE = 26
STATUSES = (Status.RENDERED, Status.QUEUED, Status.FAILED)


def fill(n: int, *, start: int = 0) -> None:
    """Put `n` related rows, numbered from `start`, into every table of the console."""
    numbers, now = range(start, start + n), timezone.now()
    people = User.objects.bulk_create(User(username=f"person-{i}", is_staff=True) for i in numbers)
    _training(numbers, people)
    _judging(numbers, people)
    _public(numbers, people)
    Group.objects.bulk_create(Group(name=f"group-{i}") for i in numbers)
    Task.objects.bulk_create(
        Task(
            id=f"{i:032x}",
            name=f"task-{i}",
            func="evaluation.tasks.render_checkpoint",
            started=now - timedelta(hours=i),
            stopped=now,
            success=bool(i % 2),
            result="a sentence",
            cluster="tests",
        )
        for i in numbers
    )
    payload = SignedPackage.dumps({"id": "a", "name": "a", "func": "runs.tasks.launch", "args": (), "kwargs": {}})
    OrmQ.objects.bulk_create(OrmQ(key="punklab", payload=payload, lock=now) for _ in numbers)
    kind = ContentType.objects.get_for_model(TrainingRun)
    Change.objects.bulk_create(
        Change(
            content_type=kind, object_pk=str(i), object_id=i, object_repr=f"run-{i}", action=1, actor=person, changes={}
        )
        for i, person in zip(numbers, people, strict=True)
    )
    Schedule.objects.bulk_create(Schedule(func="runs.tasks.reconcile", name=f"schedule-{i}") for i in numbers)


def _training(numbers: range, people: list[User]) -> None:
    words = ("completed", "in_progress", "failed")
    runs = TrainingRun.objects.bulk_create(
        TrainingRun(
            run_name=f"run-{i}",
            run_date=timezone.now() - timedelta(days=i),
            status=words[i % 3],
            base_model="miniature",
            model_type="other",
            overall_verdict=("success", "failure")[i % 2],
            caption_version=f"version-{i}",
        )
        for i in numbers
    )
    versions = CaptionVersion.objects.bulk_create(CaptionVersion(version_name=f"version-{i}") for i in numbers)
    images = TrainingImage.objects.bulk_create(
        TrainingImage(sha256=_sha256("image", i), png=b"png", width=24, height=24) for i in numbers
    )
    Caption.objects.bulk_create(
        Caption(version=version, image=image, stem=f"lady_{i}", text="a lady")
        for i, version, image in zip(numbers, versions, images, strict=True)
    )
    batches = CaptionBatch.objects.bulk_create(
        CaptionBatch(version=version, words="safe fixes", by=person)
        for version, person in zip(versions, people, strict=True)
    )
    CaptionEdit.objects.bulk_create(
        CaptionEdit(
            version=batch.version, stem=f"lady_{i}", number=1, status="edited", text="a lad", batch=batch, by=batch.by
        )
        for i, batch in zip(numbers, batches, strict=True)
    )
    CaptionOrigin.objects.bulk_create(
        CaptionOrigin(version=version, source=version, n_changed=1, by=person)
        for version, person in zip(versions, people, strict=True)
    )
    RunPlan.objects.bulk_create(
        RunPlan(run=run, parent=runs[0], hypothesis="simpler", by=person)
        for run, person in zip(runs, people, strict=True)
    )
    SavedFilter.objects.bulk_create(
        SavedFilter(name=f"filter-{i}", is_shared=True, by=person) for i, person in zip(numbers, people, strict=True)
    )
    jobs = TrainingJob.objects.bulk_create(
        TrainingJob(
            run=run, by=person, status="finished", config="", folder=f"training/{run.pk}", total_steps=10, step=5
        )
        for run, person in zip(runs, people, strict=True)
    )
    Lease.objects.bulk_create(
        Lease(job=job, name=f"lora-{i}", attempt=1, state="released", price=1, gpu="GPU", data_center="EU", volume="v")
        for i, job in zip(numbers, jobs, strict=True)
    )
    Controller.objects.get_or_create(pk=1, defaults={"site": "0a1b2c3d"})
    LossPoint.objects.bulk_create(LossPoint(job=job, step=5, epoch=1, loss=0.1) for job in jobs)
    Checkpoint.objects.bulk_create(
        Checkpoint(
            run=run,
            epoch=1,
            file=f"{i}.safetensors",
            sha256=_sha256("lora", i),
            base_model="miniature",
            source="trained",
        )
        for i, run in zip(numbers, runs, strict=True)
    )
    AdoptedPicture.objects.bulk_create(
        AdoptedPicture(
            run=run, epoch=1, file=f"{i}.png", original_name=f"{i}.png", sha256=_sha256("past", i), width=24, height=24
        )
        for i, run in zip(numbers, runs, strict=True)
    )


def _judging(numbers: range, people: list[User]) -> None:
    runs = list(TrainingRun.objects.filter(run_name__in=[f"run-{i}" for i in numbers]))
    checkpoints = list(Checkpoint.objects.filter(run__in=runs))
    results = EpochResult.objects.bulk_create(
        EpochResult(
            training_run=run,
            epoch_number=1,
            num_test_images=1,
            verdict=("best", "skip")[i % 2],
            **dict.fromkeys(EpochResult.SCORES, i % 11),
        )
        for i, run in zip(numbers, runs, strict=True)
    )
    prompts = TestPrompt.objects.bulk_create(
        TestPrompt(prompt_name=f"prompt-{i}", prompt_text="a punk") for i in numbers
    )
    SuitePrompt.objects.bulk_create(
        SuitePrompt(test_prompt=prompt, position=1000 + i) for i, prompt in zip(numbers, prompts, strict=True)
    )
    SuiteRule.objects.filter(kind="epochs", last_epoch=None).update(last_epoch=999)
    SuiteRule.objects.bulk_create(SuiteRule(first_epoch=1000 + i, last_epoch=1000 + i, size="quick") for i in numbers)
    tested = PromptTestResult.objects.bulk_create(
        PromptTestResult(epoch_result=result, test_prompt=prompt, image_path="/far/away.png", passed=True)
        for result, prompt in zip(results, prompts, strict=True)
    )
    renders = TestRender.objects.bulk_create(
        TestRender(
            checkpoint=checkpoint,
            test_prompt=prompt,
            result=result,
            digest=_sha256("request", i),
            status=STATUSES[i % 3],
            finished=f"{i}.png",
            request={"prompt": "a punk"},
            device="cpu",
        )
        for i, checkpoint, prompt, result in zip(numbers, checkpoints, prompts, tested, strict=True)
    )
    WeightRender.objects.bulk_create(
        WeightRender(
            checkpoint=checkpoint,
            test_prompt=prompt,
            lora_weight=0.6,
            digest=_sha256("request", i),
            status=STATUSES[i % 3],
            finished=f"{i}.png",
            request={"prompt": "a punk"},
            by=person,
        )
        for i, checkpoint, prompt, person in zip(numbers, checkpoints, prompts, people, strict=True)
    )
    comparisons = FullComparison.objects.bulk_create(
        FullComparison(run=run, by=person, cancelled_by=person) for run, person in zip(runs, people, strict=True)
    )
    ComparedPicture.objects.bulk_create(
        ComparedPicture(comparison=comparison, render=render, queued_here=True)
        for comparison, render in zip(comparisons, renders, strict=True)
    )
    _pairs(people, checkpoints)
    ScoreEntry.objects.bulk_create(
        ScoreEntry(epoch_result=result, source="person", by=person, **dict.fromkeys(EpochResult.SCORES, 8))
        for result, person in zip(results, people, strict=True)
    )
    BestEpochChoice.objects.bulk_create(
        BestEpochChoice(run=result.training_run, epoch_result=result, by=person, reason="a test")
        for result, person in zip(results, people, strict=True)
    )
    RunPatience.objects.bulk_create(
        RunPatience(run=run, below_best=3, falls=2, falls_from=8, by=person)
        for run, person in zip(runs, people, strict=True)
    )


def _pairs(people: list[User], checkpoints: list[Checkpoint]) -> None:
    renders = list(TestRender.objects.filter(checkpoint__in=checkpoints).order_by("pk"))
    tests = BlindTest.objects.bulk_create(
        BlindTest(checkpoint_a=checkpoint, checkpoint_b=checkpoints[0], by=person)
        for checkpoint, person in zip(checkpoints, people, strict=True)
    )
    pairs = Pair.objects.bulk_create(
        Pair(test=test, render_a=render, render_b=renders[0], prompt="a punk", seed=42)
        for test, render in zip(tests, renders, strict=True)
    )
    Vote.objects.bulk_create(
        Vote(pair=pair, by=person, left="a", choice="b") for pair, person in zip(pairs, people, strict=True)
    )
    Unblinding.objects.bulk_create(Unblinding(test=test, by=person) for test, person in zip(tests, people, strict=True))


def _public(numbers: range, people: list[User]) -> None:
    checkpoints = list(Checkpoint.objects.filter(run__run_name__in=[f"run-{i}" for i in numbers]))
    renders = list(TestRender.objects.filter(checkpoint__in=checkpoints))
    releases = Release.objects.bulk_create(
        Release(
            checkpoint=checkpoint,
            by=person,
            retired_at=timezone.now(),
            reason="a test",
            steps=20,
            guidance=7.0,
            scheduler="dpm",
            size=96,
            max_token_length=225,
        )
        for checkpoint, person in zip(checkpoints, people, strict=True)
    )
    Generation.objects.bulk_create(
        Generation(
            release=release, key=UUID(int=i), prompt="a punk", seed=i, status=STATUSES[i % 3], request={}, device="cpu"
        )
        for i, release in zip(numbers, releases, strict=True)
    )
    Verification.objects.bulk_create(
        Verification(test_render=render, by=person, expected_sha256=_sha256("v", i), status=STATUSES[i % 3], request={})
        for i, render, person in zip(numbers, renders, people, strict=True)
    )


def _sha256(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def publisher() -> Client:
    """A browser in which somebody with every role, but no administrator, is logged in; sees people and groups too."""
    user = User.objects.create_user("the-publisher", is_staff=True)
    user.groups.add(Group.objects.get(name=roles.PUBLISHER))
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def lists() -> Iterator[tuple[str, str]]:
    """Name and address of the console's first page and of each of its lists."""
    yield "first page", reverse("admin:index")
    for model in admin.site._registry:
        if model._meta.app_label != "auth":
            label = f"{model._meta.app_label}_{model._meta.model_name}"
            yield label, reverse(f"admin:{label}_changelist")


def most_queries(name: str) -> int:
    """How many queries a page of `lists` may take."""
    return MOST_ON_FIRST_PAGE if name == "first page" else MOST_QUERIES


def count_queries(client: Client, address: str) -> tuple[int, Any]:
    """How many queries the page takes, and the page."""
    with CaptureQueriesContext(connection) as queries:
        page = client.get(address)
    assert page.status_code == 200, f"{address}: {page.status_code}"
    return len(queries), page
