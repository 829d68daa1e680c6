from __future__ import annotations

import threading
from io import StringIO

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django_q.models import OrmQ

from deployment import promotion, verification
from deployment.models import Release, Verification
from deployment.promotion import PromotionError, blockers, promote, promote_base, request_verification
from deployment.releases import ReleaseError, drawn_like, put_live
from deployment.traits import Traits
from evaluation import scoring
from evaluation.models import EpochResult, TestRender
from evaluation.renderjob import Status
from evaluation.requests import request_for
from runs.bases import base_for
from runs.checkpoints import base_alone
from runs.models import Checkpoint, TrainingJob, TrainingRun
from tests.deployment.conftest import make_promotable, make_words, there, write_picture
from tests.factories import make_job, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.pooled]


@pytest.fixture
def epoch():
    return make_promotable()


def drawn_by_base(words):
    checkpoint = base_alone(base_for())
    request = request_for(checkpoint, prompt="a punk", seed=1)
    release = drawn_like(request, checkpoint, words, Traits(options={}))
    release.reason = "a race"
    return release


def only(found):
    (blocker,) = found
    return blocker


def test_an_epoch_that_nothing_stands_against_goes_live_as_it_was_judged(epoch):
    publisher = make_user("publisher")
    release = promote(epoch, by=publisher, reason="best faces so far")
    assert Release.objects.live() == release
    assert (release.by, release.reason, release.is_demo) == (publisher, "best faces so far", False)
    judged = TestRender.objects.get()
    assert release.checkpoint == judged.checkpoint
    assert (release.steps, release.guidance, release.scheduler, release.size, release.negative_prompt) == tuple(
        judged.request[name] for name in ("steps", "guidance", "scheduler", "width", "negative_prompt")
    )
    assert release.traits["options"]["headwear"][0]["phrase"] == "golden crown"


def test_promotion_marks_epoch_and_run_together_and_appends_to_their_notes(epoch):
    TrainingRun.objects.update(notes="trained overnight")
    promote(epoch, by=None, reason="clean backgrounds")
    epoch.refresh_from_db()
    run = TrainingRun.objects.get()
    assert (epoch.production_ready, epoch.verdict) == (True, "best")
    assert (run.production_ready, run.best_epoch, run.quality_score, run.overall_verdict) == (True, 3, 8, "success")
    assert run.status == "completed"
    assert there(run.notes).startswith("trained overnight\n")
    assert there(run.notes).endswith("epoch 3 promoted by the command line: clean backgrounds")
    assert "clean backgrounds" in epoch.notes


def test_a_run_with_a_job_keeps_its_status(epoch):
    make_job(run=epoch.training_run, status=TrainingJob.Status.RUNNING)
    promote(epoch, by=None, reason="good already")
    assert TrainingRun.objects.get().status == "in_progress"


def test_the_release_before_retires_at_that_moment(epoch, live):
    release = promote(epoch, by=None, reason="better than the base", words=live.caption_version)
    live.refresh_from_db()
    assert live.retired_at == release.released_at
    assert Release.objects.live() == release


def test_all_blockers_are_told_at_once(epoch):
    EpochResult.objects.update(
        visual_quality_score=6,
        is_photorealistic=True,
        has_wrong_backgrounds=True,
        observations="Auto-scored by a script",
    )
    Verification.objects.all().delete()
    there(Checkpoint.objects.get().path).unlink()
    epoch.refresh_from_db()
    with pytest.raises(PromotionError) as refused:
        promote(epoch, by=None, reason=" ")
    told = "\n".join(refused.value.blockers)
    for part in ("7.7", "script", "photorealistic", "backgrounds", "cannot be read", "drawn again", "reason"):
        assert part in told
    assert len(refused.value.blockers) == 7
    assert not Release.objects.exists()
    assert not TrainingRun.objects.get().production_ready


def test_an_epoch_without_scores_is_refused(epoch):
    EpochResult.objects.update(style_match_score=None)
    epoch.refresh_from_db()
    assert "scored" in only(blockers(epoch))


def test_a_persons_scores_after_the_scripts_count(epoch):
    EpochResult.objects.update(observations="Auto-scored: fine")
    epoch.refresh_from_db()
    assert "script" in only(blockers(epoch))
    assert blockers(scoring.score(epoch, 9, 9, 9, by=None)) == []


def test_an_altered_file_is_refused_with_both_sums(epoch):
    checkpoint = Checkpoint.objects.get()
    path = there(checkpoint.path)
    path.write_bytes(path.read_bytes() + b"x")
    blocker = only(blockers(epoch))
    assert "altered" in blocker
    assert checkpoint.sha256[:12] in blocker


def test_a_background_that_measures_otherwise_blocks_until_a_person_says_what_is_wrong(epoch):
    TestRender.objects.update(measures={"background": {"matches": False}})
    assert "background" in only(blockers(epoch))
    assert blockers(scoring.score(epoch, 9, 9, 9, by=None, issues=[])) == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"base_model": "stabilityai/stable-diffusion-xl-base-1.0", "model_type": "SDXL"}, "not rendered"),
        ({"base_model": "runwayml/stable-diffusion-v1-5"}, "this site draws with"),
    ],
)
def test_a_lora_for_another_base_is_refused(epoch, run, said):
    TrainingRun.objects.update(**run)
    epoch = EpochResult.objects.get()
    assert said in only(blockers(epoch))


def test_a_base_that_is_not_on_this_machine_is_told(epoch, settings):
    settings.BASE_MODEL_FOLDER = "/nowhere"
    assert any("/nowhere" in blocker for blocker in blockers(epoch))


def test_a_row_without_a_run_cannot_be_promoted():
    lost = EpochResult.objects.create(epoch_number=1)
    assert any("no training run" in blocker for blocker in blockers(lost))


def test_a_checkpoint_whose_file_was_never_kept_is_refused(epoch):
    Checkpoint.objects.update(file="")
    assert only(blockers(epoch)) == "It has no LoRA file."


def test_a_live_epoch_is_not_promoted_twice(epoch):
    promote(epoch, by=None, reason="first")
    assert only(blockers(epoch)) == "It is live already."


def test_captions_that_are_not_here_block_unless_other_words_are_named(epoch, settings):
    TrainingRun.objects.update(caption_version="lost_v9")
    epoch = EpochResult.objects.get()
    assert "lost_v9" in only(blockers(epoch))
    assert blockers(epoch, make_words("other_v1")) == []


def test_an_epoch_without_a_file_here_says_how_to_get_it(epoch):
    bare = EpochResult.objects.create(training_run=epoch.training_run, epoch_number=9)
    assert any("adopt_files" in blocker for blocker in blockers(bare))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"status": Status.QUEUED, "matches": None}, "wait"),
        ({"status": Status.FAILED, "matches": None, "message": "no memory"}, "no memory"),
        ({"matches": False, "message": "other bytes"}, "other bytes"),
    ],
)
def test_a_verification_that_is_not_a_match_blocks_with_its_reason(epoch, row, said):
    Verification.objects.update(**row)
    assert said in only(blockers(epoch))


def test_only_publishers_promote_and_verify(epoch):
    for act in (lambda by: promote(epoch, by=by, reason="mine"), lambda by: request_verification(epoch, by=by)):
        for role in ("viewer", "reviewer", "operator", ""):
            with pytest.raises(PermissionDenied):
                act(make_user(role))
    assert not Release.objects.exists()
    assert not OrmQ.objects.exists()


def test_a_verification_is_queued_once_for_the_tests_cluster(epoch, settings):
    publisher = make_user("publisher")
    row = request_verification(epoch, by=publisher)
    assert request_verification(epoch, by=publisher) == row
    assert OrmQ.objects.get().key == settings.TESTS_CLUSTER
    assert (row.by, row.matches) == (publisher, None)


def test_a_verification_needs_the_judged_picture(epoch):
    there(TestRender.objects.get().finished_path).unlink()
    with pytest.raises(PromotionError, match="cannot be read"):
        request_verification(epoch, by=None)


def test_the_same_bytes_match_and_others_on_the_same_device_do_not():
    make_promotable()
    judged = TestRender.objects.get()
    row = Verification.objects.get()
    Verification.objects.update(matches=None, device="cpu")
    write_picture(row, seed=1)
    row.matches = None
    row.save()
    assert verification.judge(row)
    write_picture(row, seed=2)
    assert not verification.judge(row)
    row.refresh_from_db()
    assert judged.device == row.device


def test_on_another_device_few_cells_may_differ(epoch):
    row = Verification.objects.get()
    judged = TestRender.objects.get()
    judged.device = "cuda"
    judged.save()
    row.matches = None
    row.test_render = judged
    row.expected_sha256 = "0" * 64
    write_picture(row, seed=1)
    assert verification.judge(row)
    row.refresh_from_db()
    assert "0.0% of the cells" in row.message
    Verification.objects.update(matches=None)
    write_picture(row, seed=2)
    assert not verification.judge(row)


def test_the_base_alone_can_be_live_as_a_demo(live):
    assert (live.checkpoint.source, live.is_demo) == (Checkpoint.Source.BASE, True)
    again = promote_base(by=None, reason="again", caption_version=live.caption_version)
    assert again.checkpoint == live.checkpoint
    assert Release.objects.live() == again


@pytest.mark.django_db(transaction=True)
def test_an_epoch_promoted_four_times_at_once_goes_live_once(epoch):
    meet = threading.Barrier(4)
    outcomes = []

    def race(number):
        try:
            meet.wait(10)
            promote(epoch, by=None, reason=f"number {number}")
            outcomes.append("live")
        except PromotionError as error:
            outcomes.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcome == "live" for outcome in outcomes) == [False, False, False, True]
    assert Release.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_releases_at_the_same_moment_the_database_lets_the_first_through():
    words = make_words()
    first, second = (drawn_by_base(words) for _ in range(2))
    told = []

    def late():
        try:
            put_live(second)
        except ReleaseError as error:
            told.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=late)
    with transaction.atomic(), connection.cursor() as cursor:
        put_live(first)
        thread.start()
        waiting = 0
        while not waiting:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
            (waiting,) = cursor.fetchone()
    thread.join(30)
    assert "very moment" in only(told)
    assert Release.objects.get() == first


def test_the_slower_of_two_gets_a_clear_error_and_changes_nothing(epoch, monkeypatch):
    def refuse(_):
        raise ReleaseError("Another release went live at this very moment.")

    monkeypatch.setattr(promotion, "put_live", refuse)
    with pytest.raises(PromotionError, match="very moment"):
        promote(epoch, by=None, reason="too late")
    assert not TrainingRun.objects.get().production_ready


def test_other_faults_of_the_database_are_not_called_a_race():
    release = drawn_by_base(make_words())
    release.scheduler = None
    with pytest.raises(IntegrityError):
        put_live(release)


def test_the_command_prints_every_blocker(epoch):
    EpochResult.objects.update(is_photorealistic=True, visual_quality_score=2)
    TestRender.objects.update(status=Status.CANCELLED)
    with pytest.raises(CommandError) as refused:
        call_command("promote", epoch.training_run.run_name, "3", reason="please", stdout=StringIO())
    assert str(refused.value).count("\n- ") == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "nobody"}, "nobody"),
        ({"captions": "unknown_v1"}, "words_v1"),
    ],
)
def test_the_command_refuses_unknown_people_and_captions(epoch, options, said):
    with pytest.raises(CommandError, match=said):
        call_command("promote", epoch.training_run.run_name, "3", reason="please", stdout=StringIO(), **options)


def test_the_command_wants_a_reason_before_it_draws_anything(epoch):
    Verification.objects.all().delete()
    with pytest.raises(CommandError, match="--reason is empty"):
        call_command("promote", epoch.training_run.run_name, "3", reason="  ", stdout=StringIO())
    assert not Verification.objects.exists()


def test_an_adopted_checkpoint_can_be_the_first_release(epoch):
    Release.objects.all().delete()
    Checkpoint.objects.update(source=Checkpoint.Source.ADOPTED)
    release = promote(epoch, by=None, reason="the lab's best so far")
    assert Release.objects.live() == release
    assert release.checkpoint.source == Checkpoint.Source.ADOPTED
