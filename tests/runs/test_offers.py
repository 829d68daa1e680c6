"""Which machines are offered, why there are none, and what a run will take."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from runs.backends.runpod_api import Gpu
from runs.estimates import Estimate, estimates, own_paces
from runs.models import Lease, TrainingJob, TrainingRun
from runs.offers import no_offer_sentence, offers_from, unknown_gpus_sentence
from tests.factories import make_caption_version, make_job, make_run

A, B, C = "NVIDIA GeForce RTX 4090", "NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090"
GPUS = [
    Gpu(id=A, label="RTX 4090", price=Decimal("0.69")),
    Gpu(id=B, label="RTX A5000", price=Decimal("0.27")),
    Gpu(id=C, label="RTX 3090", price=None),
]
HERE, THERE = {"id": "v1", "data_center": "EU-RO-1"}, {"id": "v2", "data_center": "US-KS-2"}


def offered(stock: dict[str, dict[str, str]], volumes: list[dict[str, str]], wanted: list[str]) -> list[Any]:
    return [(offer.gpu, offer.volume, offer.stock) for offer in offers_from(GPUS, stock, volumes, wanted)]


def test_the_preferred_gpu_comes_first_and_of_one_the_better_stocked_place() -> None:
    stock = {"EU-RO-1": {A: "LOW", B: "HIGH"}, "US-KS-2": {A: "HIGH", B: "NONE"}}
    assert offered(stock, [HERE, THERE], [A, B]) == [(A, "v2", "HIGH"), (A, "v1", "LOW"), (B, "v1", "HIGH")]
    assert offered(stock, [HERE, THERE], [B, A, B])[0] == (B, "v1", "HIGH")


def test_only_places_with_a_volume_of_ours_and_gpus_of_the_secure_cloud_are_offered() -> None:
    stock = {"EU-RO-1": {A: "HIGH", C: "HIGH"}, "US-KS-2": {A: "HIGH"}}
    assert offered(stock, [HERE], [C, A, "nothing"]) == [(A, "v1", "HIGH")]
    assert offered(stock, [{"id": "v3", "data_center": "EU-CZ-1"}], [A]) == []
    assert offered({"EU-RO-1": {A: "SOME"}}, [HERE], [A]) == []
    (offer,) = offers_from(GPUS, stock, [HERE], [A])
    assert (offer.price, offer.data_center) == (Decimal("0.69"), "EU-RO-1")


@pytest.mark.parametrize(
    ("stock", "volumes", "wanted", "said"),
    [
        ({}, [], [A], "RUNPOD_VOLUMES names no volume: make a network volume in RunPod's console under Storage"),
        ({}, [HERE], ["RTX 4090"], f"names 'RTX 4090', which RunPod does not know: did you mean {A}"),
        ({}, [HERE], ["nvidia geforce rtx 4091"], f"did you mean {A}, {C}?"),
        ({}, [HERE], ["TPU"], "RUNPOD_GPUS names 'TPU', which RunPod does not know: its console lists them"),
        ({}, [HERE], [], f"RUNPOD_GPUS is empty: name GPUs, '{A}'"),
        ({"EU-RO-1": {C: "HIGH"}}, [HERE], [C], f"RunPod's secure cloud has none of '{C}': name others"),
        ({"US-KS-2": {A: "LOW"}}, [HERE], [A], "is free in EU-RO-1, where the volumes are; there are some in US-KS-2"),
        ({"US-KS-2": {C: "LOW"}}, [HERE], [A, C], "free in EU-RO-1, nor anywhere else, just now"),
        ({}, [HERE], [A, "RTX A5000"], f"just now. RUNPOD_GPUS names 'RTX A5000', .* did you mean {B}"),
    ],
)
def test_why_nothing_is_offered_is_said_with_its_mend(stock, volumes, wanted, said) -> None:
    sentence = no_offer_sentence(GPUS, stock, volumes, wanted)
    assert re.search(said.replace("?", r"\?"), sentence), sentence


def test_nothing_is_said_of_names_that_are_known() -> None:
    assert unknown_gpus_sentence(GPUS, [A, B, C]) == ""


def trained(gpu: str, seconds: float, **overrides: Any) -> TrainingJob:
    """A training of 100 steps of 2 pictures that is over: `seconds` of training after 60 of setup."""
    run = make_run(model_type="SD15", resolution="512,512", train_batch_size=2, **overrides)
    job = make_job(run=run, backend="runpod", status=TrainingJob.Status.FINISHED, total_steps=100)
    leased(job, gpu, {"setup": 60.0, "training": seconds})
    return job


def leased(job: TrainingJob, gpu: str, seconds: dict[str, float], attempt: int = 1) -> Lease:
    now = timezone.now()
    return Lease.objects.create(
        job=job,
        name=f"lora-{job.pk}-{attempt}",
        attempt=attempt,
        state=Lease.State.RELEASED,
        gpu=gpu,
        data_center="EU-RO-1",
        volume="v1",
        price=Decimal("0.5"),
        requested_at=now,
        released_at=now,
        seconds=seconds,
    )


def new_run(**overrides: Any) -> TrainingRun:
    """Of 4 pictures, 25 times each in each of 4 epochs: 400 pictures to learn from."""
    values = {"model_type": "SD15", "resolution": "512x512", "max_train_epochs": 4, "network_dim": 32}
    version = make_caption_version(pairs=4).version_name
    return make_run(**(values | {"caption_version": version, "all_parameters": {"repeats": 25}} | overrides))


def hours(run: TrainingRun, gpu: str = A) -> tuple[float, str]:
    found = estimates(run, [gpu])[gpu]
    return round(found.hours * 3600, 6), found.basis


@pytest.mark.django_db
def test_nothing_known_is_called_a_guess() -> None:
    assert hours(new_run()) == (0.4 * 3600, "a guess: no past run is like it")
    assert hours(make_run(max_train_epochs=None)) == (3600, "a guess: no past run is like it")


@pytest.mark.django_db
def test_own_trainings_on_that_gpu_count_before_those_on_others() -> None:
    run = new_run()
    trained(B, 600)
    assert hours(run) == (600 / 200 * 400 + 60, "from 1 training on other GPUs")
    trained(A, 100)
    trained(A, 200)
    trained(A, 900)
    assert hours(run) == (200 / 200 * 400 + 60, f"from 3 trainings on {A}")
    both = estimates(run, [A, B])
    assert both[B].hours > both[A].hours


@pytest.mark.django_db
def test_trainings_of_another_size_kind_backend_or_ending_say_nothing() -> None:
    run = new_run()
    for overrides in ({"resolution": "768"}, {"model_type": "SDXL"}):
        make = trained(A, 100)
        TrainingRun.objects.filter(pk=make.run_id).update(**overrides)
    TrainingJob.objects.filter(pk=trained(A, 100).pk).update(backend="local")
    TrainingJob.objects.filter(pk=trained(A, 100).pk).update(status=TrainingJob.Status.FAILED)
    Lease.objects.filter(job=trained(A, 100)).update(seconds={})
    assert hours(run)[1] == "a guess: no past run is like it"


@pytest.mark.django_db
def test_a_training_in_several_attempts_counts_as_one() -> None:
    job = trained(A, 100)
    leased(job, A, {"setup": 40.0, "training": 100.0}, attempt=2)
    earlier = make_job(run=job.run, backend="runpod", status=TrainingJob.Status.CANCELLED, folder=job.folder)
    leased(earlier, A, {"setup": 50.0, "training": 200.0})
    (pace,) = own_paces()
    assert (pace.seconds, pace.setup) == (400 / 200, 50.0)
    leased(earlier, B, {"training": 1.0}, attempt=3)
    assert own_paces() == []


@pytest.mark.django_db
def test_the_labs_own_rows_say_what_no_training_of_ours_does() -> None:
    run = new_run()
    row = {"model_type": "SD15", "resolution": "512,512", "training_duration_hours": 1.0}
    make_run(**row, gpu_type="A100", num_images=50, max_train_epochs=2)
    assert hours(run) == (3600 / 100 * 400, "from 1 past run of the lab on other GPUs")
    make_run(**row, gpu_type="RTX 4090", total_steps=100, train_batch_size=2, gradient_accumulation_steps=4)
    assert hours(run) == (3600 / 800 * 400, f"from 1 past run of the lab on {A}")
    make_run(**row, gpu_type="")
    ours = make_run(**row, gpu_type="RTX 4090", total_steps=1)
    make_job(run=ours, backend="local", status=TrainingJob.Status.FINISHED)
    assert hours(run)[1] == f"from 1 past run of the lab on {A}"
    trained(B, 100)
    assert hours(run)[1] == "from 1 training on other GPUs"


@pytest.mark.django_db
def test_the_room_on_the_volume_grows_with_epochs_and_rank(settings) -> None:
    settings.RUNPOD_NEED_BYTES = 1000
    assert estimates(new_run(), [A])[A].need_bytes == 37 * 10**6 * (4 + 8) + 1000
    assert estimates(new_run(network_dim=64, max_train_epochs=10), [A])[A].need_bytes == 74 * 10**6 * 18 + 1000


@pytest.mark.django_db
def test_many_past_runs_cost_no_more_queries(django_assert_max_num_queries) -> None:
    run = new_run()
    for number in range(30):
        trained(A, 100 + number)
        make_run(model_type="SD15", training_duration_hours=1.0, num_images=50)
    with django_assert_max_num_queries(4):
        assert isinstance(estimates(run, [A, B, C])[C], Estimate)
