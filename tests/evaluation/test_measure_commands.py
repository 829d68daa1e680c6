"""Pictures measured from the command line, and measured again where they stand in the lab."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image

from evaluation import results, suite
from evaluation.models import EpochResult, PromptTestResult, TestPrompt, TestRender
from evaluation.renderjob import Status
from punklab.diffusion.miniature.demo import write_demo_set
from punklab.pixels.measures import VERSION
from runs.caption_folder import read_folder
from runs.models import AdoptedPicture
from tests.factories import make_caption_version, make_checkpoint, make_run
from tests.pixels.drawing import degraded, enlarged, photograph, punk

pytestmark = pytest.mark.django_db
GREEN, BLUE = (60, 180, 90), (0, 102, 255)


def measure(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command("measure", *map(str, arguments), stdout=out, **options)
    return out.getvalue()


def remeasure(*arguments: str) -> str:
    out = StringIO()
    call_command("remeasure", *arguments, stdout=out, processes=1)
    return out.getvalue()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "punk.png"
    enlarged(punk(background=GREEN), 512).save(path)
    return path


def drawn(checkpoint: Any, name: str, background: tuple[int, int, int], folder: Path) -> TestRender:
    """A test picture as the worker leaves it: drawn, its files there, not measured."""
    prompt = TestPrompt.objects.get(prompt_name=name)
    path = folder / f"{checkpoint.pk}-{name}"
    enlarged(punk(background=background), 192).save(path.with_suffix(".raw.png"))
    Image.fromarray(punk(background=background)).save(path.with_suffix(".png"))
    return TestRender.objects.create(
        checkpoint=checkpoint,
        test_prompt=prompt,
        digest=f"{checkpoint.pk}{name}"[:64],
        request={"prompt": prompt.prompt_text, "seed": 1},
        status=Status.RENDERED,
        ended_at=timezone.now(),
        raw=str(path.with_suffix(".raw.png").relative_to(folder)),
        finished=str(path.with_suffix(".png").relative_to(folder)),
    )


@pytest.fixture
def renders(storage: Path) -> list[TestRender]:
    checkpoint = make_checkpoint(epoch=1)
    names = [str(place.test_prompt) for place in suite.prompts("medium")]
    return [drawn(checkpoint, name, BLUE, storage) for name in names]


def test_a_file_is_measured_against_a_prompt_or_without_one(picture, tmp_path):
    (found,) = json.loads(measure(picture, prompt="brown hair, solid green background"))
    assert found["file"] == str(picture)
    assert found["background"]["matches"] is found["hair"]["matches"] is True
    assert found["background"]["asked"] == {"word": "green", "hex": None}
    assert "parts" not in found
    written = tmp_path / "prompt.txt"
    written.write_text("purple background (#800080)\n", encoding="utf-8")
    (found,) = json.loads(measure(picture, prompt_file=written))
    assert found["background"]["matches"] is False
    assert found["background"]["delta_e"] > 20
    (found,) = json.loads(measure(picture))
    assert found["background"]["matches"] is None
    assert found["background"]["observed"]["word"] == "green"


def test_the_text_says_it_in_sentences(picture):
    told = measure(picture, prompt="purple background", format="text")
    assert "pixel art: a raster of 24x24 cells" in told
    assert "background green #3cb45a, asked purple" in told
    assert "copies not looked for" in told


def test_a_picture_is_compared_with_the_captions_pictures(tmp_path):
    write_demo_set(tmp_path / "demo", 30, seed=3)
    pairs = read_folder(tmp_path / "demo").pairs
    call_command("import_captions", str(tmp_path / "demo"), name="demo", stdout=StringIO())
    copy = tmp_path / "copy.jpg"
    original = pairs[4].pair.cells
    assert original is not None
    degraded(original, 512).save(copy)
    (found,) = json.loads(measure(copy, captions="demo"))
    assert (found["copy"]["is_copy"], found["copy"]["nearest"]) == (True, pairs[4].pair.stem)
    assert json.loads(measure(copy)) == [found], "the newest captions are taken where none are named"


def test_what_cannot_be_measured_is_told_last_and_the_rest_is_measured(picture, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:200])
    out = StringIO()
    with pytest.raises(CommandError, match=r"2 of 3 files.*broken\.png.*damaged.*missing\.png is not there"):
        call_command("measure", str(broken), str(picture), str(tmp_path / "missing.png"), stdout=out)
    first, second, third = json.loads(out.getvalue())
    assert "damaged" in first["error"]
    assert second["pixel_art"]["is_pixel_art"] is True
    assert set(third) == {"file", "error"}


def test_wrong_arguments_are_named_with_the_mend(picture, tmp_path):
    with pytest.raises(CommandError, match="nobody"):
        measure(picture, captions="nobody")
    with pytest.raises(CommandError, match=r"prompt\.txt cannot be read"):
        measure(picture, prompt_file=tmp_path / "prompt.txt")
    (tmp_path / "latin.txt").write_bytes(b"gr\xfcner Hintergrund")
    with pytest.raises(CommandError, match="save it as UTF-8"):
        measure(picture, prompt_file=tmp_path / "latin.txt")
    (tmp_path / "long.txt").write_text("green " * 20_000, encoding="utf-8")
    with pytest.raises(CommandError, match="a prompt has at most"):
        measure(picture, prompt_file=tmp_path / "long.txt")
    with pytest.raises(CommandError, match="not allowed with argument"):
        call_command("measure", str(picture), "--prompt", "a", "--prompt-file", "b")


def test_pictures_are_measured_again_from_their_files_and_nothing_is_drawn(renders):
    assert remeasure().startswith("3 pictures measured, 0 could not be; 1 epochs")
    row = EpochResult.objects.get()
    assert (results.metrics_ours(row) or {})["n_pictures"] == 3
    assert PromptTestResult.objects.count() == 3
    assert remeasure().startswith("0 pictures measured"), "they are up to date"
    assert remeasure("--all").startswith("3 pictures measured")
    assert remeasure(renders[0].checkpoint.run.run_name, "--all").startswith("3 pictures measured")
    assert remeasure(make_run().run_name, "--all").startswith("0 pictures measured")
    with pytest.raises(CommandError, match="nobody"):
        remeasure("nobody")
    assert set(TestRender.objects.values_list("status", flat=True)) == {Status.RENDERED}


def test_what_an_older_punklab_measured_is_brought_up_to_date_and_a_persons_word_stays(renders):
    remeasure()
    first, second, _ = renders
    for render in renders:
        render.refresh_from_db()
    old = {
        "background": {"matches": True},
        "hair": {"matches": False},
        "is_pixel_art": False,
        "suggested": {"reasons": ["background blue"]},
    }
    for render in (first, second):
        TestRender.objects.filter(pk=render.pk).update(measures=old)
        PromptTestResult.objects.filter(pk=render.result_id).update(
            correct_background_color=True, correct_hair_color=False, is_pixel_art=False, observations="background blue"
        )
    PromptTestResult.objects.filter(pk=second.result_id).update(
        is_pixel_art=True, observations="I like the blue", passed=True
    )
    assert remeasure().startswith("2 pictures measured")
    first.refresh_from_db()
    assert first.measures["version"] == VERSION
    assert first.result.is_pixel_art is True
    assert first.result.correct_background_color == first.measures["background"]["matches"]
    hers = PromptTestResult.objects.get(pk=second.result_id)
    assert (hers.observations, hers.passed, hers.is_pixel_art) == ("I like the blue", True, True)


def test_flags_follow_the_measures_until_a_person_speaks(renders, storage):
    remeasure()
    row = EpochResult.objects.get()
    issues = {issue["issue"]: issue for issue in results.issues_ours(row) or []}
    assert issues["wrong_background_color"]["share"] > 0.3
    assert row.has_wrong_backgrounds
    assert not row.is_photorealistic
    row.visual_quality_score = row.style_match_score = row.prompt_adherence_score = 8
    row.has_wrong_backgrounds = False
    row.save()
    for render in renders:
        photograph(192).save(storage / render.raw)
    remeasure("--all")
    row.refresh_from_db()
    assert (row.has_wrong_backgrounds, row.is_photorealistic) == (False, False)
    assert {issue["issue"] for issue in results.issues_ours(row) or []} >= {"photorealistic", "not_pixel_art"}
    assert (results.metrics_ours(row) or {})["photorealism_score"] == 100


def test_a_picture_that_is_gone_is_named_and_keeps_its_measures(renders, storage, capsys):
    remeasure()
    (storage / renders[0].raw).unlink()
    assert remeasure("--all").startswith("2 pictures measured, 1 could not be")
    assert "is not there" in capsys.readouterr().err
    assert TestRender.objects.get(pk=renders[0].pk).measures["version"] == VERSION


def test_adopted_pictures_are_measured_against_the_prompt_that_their_name_holds(storage):
    run = make_run()
    row = EpochResult.objects.create(training_run=run, epoch_number=3, num_test_images=0)
    name = f"epoch3_{suite.prompts('quick')[0].test_prompt}.png"
    enlarged(punk(background=BLUE), 512).save(storage / name)
    AdoptedPicture.objects.create(
        run=run, epoch=3, original_name=name, file=name, sha256="0" * 64, width=512, height=512, reason="its name"
    )
    assert remeasure(run.run_name).startswith("1 pictures measured")
    measured = AdoptedPicture.objects.get().measures
    assert measured["background"]["asked"]["hex"] == "#00ff00"
    assert measured["background"]["matches"] is False
    row.refresh_from_db()
    assert (results.metrics_ours(row) or {})["background_accuracy"] == 0


def test_a_repeat_is_drawn_with_other_seeds_beside_the_suite_and_never_in_its_place(renders):
    checkpoint = renders[0].checkpoint
    suite.queue(checkpoint)
    call_command("test_epoch", checkpoint.run.run_name, "1", repeat=True, stdout=StringIO())
    repeats = checkpoint.test_renders.filter(is_repeat=True)
    assert repeats.count() == len(suite.prompts())
    seeds = set(repeats.values_list("request__seed", flat=True))
    assert seeds.isdisjoint(checkpoint.test_renders.filter(is_repeat=False).values_list("request__seed", flat=True))
    assert suite.queue_repeats(checkpoint) == 0, "once is enough"
    assert suite.cancel(checkpoint) > 0


def test_a_finished_picture_has_no_more_colours_than_its_captions_pictures(tmp_path):
    version = make_caption_version(pairs=4)
    plain = make_checkpoint(run=make_run(caption_version=version.version_name))
    suite.queue(plain, "quick")
    write_demo_set(tmp_path / "demo", 40, seed=5)
    call_command("import_captions", str(tmp_path / "demo"), name="demo", stdout=StringIO())
    own = make_checkpoint(run=make_run(caption_version="demo"))
    suite.queue(own, "quick")
    finishes = [each.test_renders.get().request["finish"] for each in (plain, own)]
    assert finishes[0] == "punk24-2:23", "four pictures are too few to learn from"
    assert finishes[1] != finishes[0]
