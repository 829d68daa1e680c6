"""`make lab` as a new user meets it: real clusters, the miniature, a browser; from captioned punks to a promoted LoRA."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from punklab.diffusion.miniature.artist import punk
from punklab.diffusion.miniature.grammar import caption
from tests.lab_process import lab

RUN = "pairs_miniature"
N_PICTURES = 8

pytestmark = [pytest.mark.browser, pytest.mark.diffusion, pytest.mark.slowest]


@pytest.fixture
def pairs(tmp_path):
    """A folder of PNG + TXT pairs as a user brings it, with a space in its path."""
    folder = tmp_path / "my punks" / "pairs"
    folder.mkdir(parents=True)
    rng = random.Random(7)
    for number in range(N_PICTURES):
        drawn = punk(rng)
        Image.fromarray(drawn.cells).resize((384, 384), Image.Resampling.NEAREST).save(folder / f"punk_{number}.png")
        (folder / f"punk_{number}.txt").write_text(caption(drawn))
    return folder


@pytest.fixture
def state():
    """A state folder that other users may enter: run as root, PostgreSQL is another user."""
    with tempfile.TemporaryDirectory(prefix="punklab-", ignore_cleanup_errors=True) as made:
        yield Path(made) / "state"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def log_in(page, address: str, name: str, password: str) -> None:
    page.goto(f"{address}/console/login/?next=/console/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#site-name")


def log_out(page) -> None:
    page.locator("#logout-form button").click()


def test_from_captioned_punks_to_a_promoted_lora_behind_the_public_page(browser, pairs, state):
    page = browser.new_page()
    with lab(state, "--punks", str(pairs), "--port", str(free_port())) as running:
        address = running.address
        retired = running.manage("shell", "--no-imports", "-c", SIX_PROMPTS)
        assert retired.returncode == 0, retired.stderr

        page.goto(address)  # a visitor, while the run trains: the base model draws
        page.get_by_label("lad", exact=True).check(force=True)
        page.get_by_label("Seed").fill("11")
        page.get_by_role("button", name="Draw my punk").click()
        page.wait_for_selector("img.punk", timeout=60_000)
        permalink = page.url
        first = Image.open(BytesIO(page.request.get(permalink.rstrip("/") + ".png").body()))
        assert first.size == (24, 24)

        running.wait_for(rf"training {RUN}: Finished", 240)
        n_epochs = json.loads(running.manage("shell", "--no-imports", "-c", EPOCHS).stdout)
        assert n_epochs >= 4
        running.wait_for(rf"{n_epochs} epochs await scores", 120)
        # One each of the first two epochs, three of the others and of the base; all of the best and of the base beside it
        n_pictures = 2 + 3 * (n_epochs - 1)
        running.wait_for(rf"test pictures: {n_pictures + 2 * (18 - 3)} done, 0 queued", 240)

        log_in(page, address, "reviewer", running.password("reviewer"))
        page.goto(f"{address}/console/review/")
        for score in (7, 8, 9):
            for field in ("visual", "style", "prompt"):
                page.locator(f"[name={field}][value='{score}']").check()
            page.locator("[name=observations]").fill(f"a {score}")
            page.get_by_role("button", name="Save and next").click()
        page.wait_for_load_state()
        found = json.loads(running.manage("convergence", RUN, "--format", "json").stdout)
        assert (found["state"], found["best_epoch"]) == ("improving", 3)
        log_out(page)

        assert running.manage("promote", RUN, "4", "--reason", "x", "--by", "publisher").returncode == 1
        promoted = running.manage("promote", RUN, "3", "--reason", "the best of the three", "--by", "publisher")
        assert promoted.returncode == 0, promoted.stdout + promoted.stderr
        page.goto(permalink)
        page.get_by_role("button", name="Again, another seed").click()
        page.wait_for_selector("img.punk", timeout=60_000)
        assert page.url != permalink
        assert f"{RUN} epoch 3" in page.content()
        page.goto(permalink)  # the punk of the former release stays what it was
        again = Image.open(BytesIO(page.request.get(permalink.rstrip("/") + ".png").body()))
        assert np.array_equal(np.asarray(again.convert("RGB")), np.asarray(first.convert("RGB")))

        children = psutil.Process(running.process.pid).children(recursive=True)
        assert running.interrupt() == 0
        assert "Ctrl-C" in running.said
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert len(gone) >= 4

    with lab(state, "--punks", str(pairs), "--port", str(free_port())) as running:  # goes on where it was
        running.wait_for(rf"live: {RUN} epoch 3", 60)
        assert f"training {RUN}: Finished" in running.said
        time.sleep(1)
        assert "was started again" not in running.said


# The lab's own six prompts at three seeds make the best epoch's suite; all seventeen would draw for minutes and prove no more
SIX_PROMPTS = (
    "from django.utils import timezone; from evaluation.suite_models import SuitePrompt; "
    "SuitePrompt.objects.filter(position__gt=6).update(retired_at=timezone.now())"
)
EPOCHS = "from runs.models import TrainingRun; print(TrainingRun.objects.get().checkpoints.count())"
