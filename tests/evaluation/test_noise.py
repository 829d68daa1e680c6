"""What chance alone changes, and what an epoch's page and a run's page tell beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.urls import reverse

from evaluation import epochs, metrics, noise, results, suite
from evaluation.metrics import Measured
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from punklab.pixels.measures import VERSION, measure
from runs.bases import base_for
from runs.checkpoints import base_alone
from tests.factories import make_checkpoint, make_run, make_user
from tests.pixels.drawing import degraded, enlarged, punk

PROMPT = "portrait of bespoke punk lady, brown hair (#78461e), solid blue background (#0066ff)"
GREEN, RED = (60, 180, 90), (220, 20, 40)


@pytest.fixture(scope="module")
def right() -> Measured:
    """Measures of a picture that is as asked."""
    return measure(enlarged(punk(), 192), PROMPT).to_json()


@pytest.fixture(scope="module")
def wrong() -> Measured:
    """Measures of a picture with another background than asked, the rest as asked."""
    return measure(enlarged(punk(background=GREEN), 192), PROMPT).to_json()


@pytest.fixture(scope="module")
def wrong_hair() -> Measured:
    return measure(enlarged(punk(hair=RED), 192), PROMPT).to_json()


def pair(prompt: int, first: Measured | None, repeat: Measured | None) -> list[TestRender]:
    return [
        TestRender(test_prompt_id=prompt, measures=first),
        TestRender(test_prompt_id=prompt, measures=repeat, is_repeat=True),
    ]


def drawn(checkpoint: Any, measured: Sequence[Measured], *, repeat: bool = False) -> EpochResult | None:
    """Test pictures of a checkpoint with these measures, one a prompt of the suite, summarised."""
    for place, found in zip(suite.prompts()[: len(measured)], measured, strict=True):
        seed = place.seed + suite.REPEAT_SEED * repeat
        TestRender.objects.create(
            checkpoint=checkpoint,
            test_prompt=place.test_prompt,
            request={"prompt": PROMPT, "seed": seed},
            digest=f"{checkpoint.pk}-{place.pk}-{seed}",
            status=Status.RENDERED,
            finished=f"renders/{checkpoint.pk}-{place.pk}-{seed}.png",
            measures=found,
            is_repeat=repeat,
        )
    return results.summarise(checkpoint)


def with_noise(run: Any, epoch: int, rms: float) -> None:
    own = {"measured_by": metrics.MEASURED_BY, "noise": {"hair": {"rms": rms, "n": 6}}}
    EpochResult.objects.create(training_run=run, epoch_number=epoch, quantitative_metrics=own)


def line_of(measured: epochs.EpochMeasures | None, key: str) -> epochs.Line:
    assert measured is not None
    return next(line for line in measured.lines if line.measure.key == key)


def keyed(measured: Sequence[Measured]) -> dict[tuple[int, int], Measured]:
    return {(prompt, 42): found for prompt, found in enumerate(measured)}


def delta_of(now: Sequence[Measured], before: Sequence[Measured], known: noise.Noise, key: str) -> noise.Delta:
    return next(each for each in noise.deltas(keyed(now), keyed(before), known) if each.measure.key == key)


def test_repeats_tell_by_how_much_a_picture_differs_from_its_twin(right, wrong):
    renders = [each for n in range(2) for each in pair(n, right, wrong)] + pair(2, right, right)
    found = noise.of_repeats(renders)
    assert found["background"] == {"rms": pytest.approx((3 / 4) ** 0.5, abs=1e-4), "n": 3}
    assert found["hair"] == {"rms": 0.5, "n": 3}, "one pair that differs is taken for granted"


def test_what_is_no_share_is_granted_the_pictures_own_spread(right):
    noisy = measure(degraded(punk(), 192), PROMPT).to_json()
    apart = right["pixel_art"]["lattice"]["score"] - noisy["pixel_art"]["lattice"]["score"]
    assert apart > 0.1
    equal = noise.of_repeats([*pair(0, right, right), *pair(1, noisy, noisy)])
    assert 0 < equal["lattice"]["rms"] < apart
    assert (
        noise.of_repeats([*pair(0, right, noisy), *pair(1, right, noisy)])["lattice"]["rms"] > equal["lattice"]["rms"]
    )
    assert noise.of_repeats([*pair(0, right, right), *pair(1, right, right)])["lattice"]["rms"] == 0


def test_without_repeats_and_with_one_alone_nothing_is_known(right, wrong):
    first, second = pair(0, right, wrong), pair(1, right, wrong)
    assert noise.of_repeats([first[0], second[0]]) == {}
    assert noise.of_repeats(first) == {}
    assert noise.of_repeats([first[0], first[1], second[1]]) == {}, "a repeat without its first"
    assert noise.of_repeats([*first, *pair(1, right, None)]) == {}, "a repeat that is not measured"
    assert noise.of_repeats([*first, *second])["background"]["n"] == 2


def test_a_change_smaller_than_the_floor_is_no_difference_and_a_larger_one_is(right, wrong):
    known = {"background": {"rms": 0.5, "n": 6}}
    before = [wrong] * 4
    small = delta_of([right, wrong, wrong, wrong], before, known, "background")
    large = delta_of([right, right, wrong, wrong], before, known, "background")
    fall = delta_of(before, [right, right, wrong, wrong], known, "background")
    assert small.floor == large.floor == pytest.approx(0.49)
    assert (small.change, small.is_difference) == (0.25, False)
    assert (large.change, large.is_difference) == (0.5, True)
    assert (fall.change, fall.is_difference) == (-0.5, True)


def test_more_pictures_make_a_smaller_change_a_difference(right, wrong):
    known = {"background": {"rms": 0.5, "n": 6}}
    assert not delta_of([right, wrong, wrong, wrong], [wrong] * 4, known, "background").is_difference
    assert delta_of([right, wrong, wrong, wrong] * 5, [wrong] * 20, known, "background").is_difference


def test_nobody_knows_what_is_a_difference_where_no_epoch_was_drawn_twice(right, wrong):
    found = delta_of([right] * 6, [wrong] * 6, {}, "background")
    assert (found.change, found.floor, found.is_difference) == (1, None, None)
    other = delta_of([right] * 6, [wrong] * 6, {"hair": {"rms": 0.1, "n": 6}}, "background")
    assert other.is_difference is None


def test_only_pictures_of_the_same_prompt_and_seed_that_both_judge_are_compared(right, wrong):
    now = {(1, 42): right, (2, 42): right, (3, 42): wrong}
    before = {(1, 42): wrong, (2, 43): wrong, (3, 42): wrong, (4, 42): right}
    found = {delta.measure.key: delta for delta in noise.deltas(now, before, {})}
    assert (found["background"].n, found["background"].now, found["background"].before) == (2, 0.5, 0)
    assert "eyes" not in found, "the prompt says nothing of eyes"
    assert noise.deltas(now, {(9, 42): right}, {}) == []


@pytest.mark.django_db
def test_noise_of_another_run_of_the_same_base_stands_in_and_the_runs_own_comes_first():
    run, other = make_run(), make_run()
    far = make_run(base_model="stable-diffusion-v1-5/stable-diffusion-v1-5")
    with_noise(far, 1, 0.9)
    EpochResult.objects.create(training_run=other, epoch_number=9, quantitative_metrics={"measured_by": "punklab"})
    assert noise.for_run(run) == {}
    with_noise(other, 1, 0.2)
    assert noise.for_run(run)["hair"]["rms"] == 0.2
    with_noise(run, 1, 0.3)
    with_noise(run, 2, 0.4)
    with_noise(other, 2, 0.5)
    assert noise.for_run(run)["hair"]["rms"] == 0.4, "its own, the one measured last"
    assert noise.for_run(other)["hair"]["rms"] == 0.5
    assert noise.for_run(far)["hair"]["rms"] == 0.9


@pytest.mark.django_db
def test_noise_that_stands_beside_another_scripts_metrics_is_found():
    run = make_run()
    own = {"measured_by": metrics.MEASURED_BY, "noise": {"hair": {"rms": 0.2, "n": 6}}}
    written = metrics.beside_theirs({"sharpness": 3}, own)
    EpochResult.objects.create(training_run=run, epoch_number=1, quantitative_metrics=written)
    assert noise.for_run(run) == own["noise"]


@pytest.mark.django_db
def test_an_epoch_is_compared_with_the_one_before_it_beside_the_noise(client, right, wrong, wrong_hair):
    run = make_run()
    drawn(make_checkpoint(run=run, epoch=1), [right] * 6)
    drawn(make_checkpoint(run=run, epoch=2), [wrong] * 5 + [wrong_hair])
    third = make_checkpoint(run=run, epoch=4)
    drawn(third, [right] * 6)
    row = drawn(third, [right] * 6, repeat=True)
    drawn(make_checkpoint(run=run, epoch=5), [right] * 6)
    assert row is not None
    measured = epochs.measures_of(row)
    background, hair = line_of(measured, "background"), line_of(measured, "hair")
    assert measured is not None
    assert (measured.n_pictures, measured.previous, measured.baseline, measured.noise_is_known) == (12, 2, None, True)
    assert (background.mean, background.spread, background.n, background.over_baseline) == (1, 0, 12, None)
    assert background.since_previous is not None
    assert hair.since_previous is not None
    assert (background.since_previous.n, background.since_previous.is_difference) == (6, True)
    assert hair.since_previous.is_difference is False
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:evaluation_epochresult_change", args=(row.pk,))).content.decode()
    assert "since epoch 2" in page
    assert "<td>+83 points (chance ±30)</td>" in page
    assert "<td>not a difference (+17 points, chance ±30)</td>" in page
    assert "is not known yet" not in page


@pytest.mark.django_db
def test_without_repeats_the_page_says_that_chance_is_unknown(client, right, wrong):
    run = make_run()
    drawn(make_checkpoint(run=run, epoch=1), [wrong, wrong])
    row = drawn(make_checkpoint(run=run, epoch=2), [right, wrong])
    assert row is not None
    measured = epochs.measures_of(row)
    assert measured is not None
    assert not measured.noise_is_known
    delta = line_of(measured, "background").since_previous
    assert delta is not None
    assert delta.is_difference is None
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:evaluation_epochresult_change", args=(row.pk,))).content.decode()
    assert "<td>+50 points (chance unknown)</td>" in page
    assert "<td>50 %</td>" in page
    assert "How much chance alone changes is not known yet" in page
    assert "not a difference" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("written", [None, {"measured_by": "punklab", "version": VERSION - 1}, {"sharpness": 3}])
def test_an_epoch_that_is_not_measured_or_by_an_older_punklab_has_no_lines(client, written):
    run = make_run()
    row = EpochResult.objects.create(training_run=run, epoch_number=1, quantitative_metrics=written)
    assert epochs.measures_of(row) is None
    assert epochs.trait_matrix(run) is None
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:evaluation_epochresult_change", args=(row.pk,))).content.decode()
    assert "Not measured yet" in page


@pytest.mark.django_db
def test_an_epoch_is_compared_with_the_base_without_a_lora_too(right, wrong):
    run = make_run()
    assert drawn(base_alone(base_for("miniature")), [wrong, wrong]) is None, "a base has no epoch"
    row = drawn(make_checkpoint(run=run, epoch=1), [right, wrong])
    assert row is not None
    measured = epochs.measures_of(row)
    line = line_of(measured, "background")
    assert measured is not None
    assert measured.baseline == str(base_alone(base_for("miniature")))
    assert line.since_previous is None
    assert line.over_baseline is not None
    assert (line.over_baseline.change, line.over_baseline.n) == (0.5, 2)


@pytest.mark.django_db
def test_traits_are_counted_for_the_base_and_epoch_by_epoch(client, right, wrong):
    run = make_run()
    unasked = measure(enlarged(punk(), 192), "portrait of bespoke punk lady, brown hair (#78461e)").to_json()
    drawn(base_alone(base_for("miniature")), [wrong])
    drawn(make_checkpoint(run=run, epoch=10), [right, right, unasked])
    drawn(make_checkpoint(run=run, epoch=2), [unasked])
    matrix = epochs.trait_matrix(run)
    assert matrix is not None
    assert list(matrix.names) == ["base", "2", "10"]
    rows = {row.trait: list(row.cells) for row in matrix.rows}
    assert rows == {"background": [(0, 1), None, (2, 2)], "hair": [(1, 1), (1, 1), (3, 3)]}
    client.force_login(make_user("viewer"))
    page = client.get(reverse("admin:runs_trainingrun_change", args=(run.pk,))).content.decode()
    assert '<th scope="col">base</th><th scope="col">epoch 2</th><th scope="col">epoch 10</th>' in page
    assert "0/1" in page
    assert "3/3" in page


@pytest.mark.django_db
def test_another_scripts_noise_and_many_newer_rows_of_other_runs_hide_nothing():
    run, other = make_run(), make_run()
    known = {"hair": {"rms": 0.2, "n": 6}}
    EpochResult.objects.create(
        training_run=run, epoch_number=1, quantitative_metrics={"measured_by": "punklab", "noise": known}
    )
    EpochResult.objects.create(training_run=run, epoch_number=2, quantitative_metrics={"noise": 0.3})
    louder = {"measured_by": "punklab", "noise": {"hair": {"rms": 0.9, "n": 6}}}
    EpochResult.objects.bulk_create(
        EpochResult(training_run=other, epoch_number=epoch, quantitative_metrics=louder) for epoch in range(60)
    )
    assert noise.for_run(run) == known
