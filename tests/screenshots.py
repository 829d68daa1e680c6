"""`make screenshots`: the README's pictures of console and generator, from a lab that has just run."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.browser.conftest import ARGUMENTS, BROWSERS
from tests.lab_process import ROOT, Lab, lab

DOCS = ROOT / "docs"
SIZE = ViewportSize(width=1280, height=900)


def main() -> int:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium found: Debian's package is chromium")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        tempfile.TemporaryDirectory(prefix="punklab-", ignore_cleanup_errors=True) as made,
        lab(Path(made) / "state", "--port", str(port)) as running,
        sync_playwright() as playwright,
    ):
        page = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS).new_page(viewport=SIZE)
        running.wait_for(r"training demo_v1_miniature: Finished", 900)
        running.wait_for(r"test pictures: \d+ done, 0 queued \| 6 epochs await scores", 600)
        generator(page, running)
        console(page, running)
    return 0


def generator(page: Page, running: Lab) -> None:
    page.goto(running.address)
    page.get_by_label("lady", exact=True).check(force=True)
    page.get_by_label("Seed").fill("3")
    page.get_by_role("button", name="Surprise me").click()
    page.wait_for_selector("img.punk", timeout=60_000)
    page.screenshot(path=DOCS / "generator.png")


def console(page: Page, running: Lab) -> None:
    for epoch, scores in enumerate(("4 4 5", "6 6 7", "7 8 8", "8 9 8"), start=1):
        done = running.manage("score", "demo_v1_miniature", str(epoch), *scores.split(), "--by", "reviewer")
        assert done.returncode == 0, done.stderr
    page.goto(f"{running.address}/console/login/?next=/console/")
    page.get_by_label("Username").fill("artist")
    page.get_by_label("Password").fill(running.password("artist"))
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{running.address}/console/runs/trainingrun/1/change/")
    page.locator("#epoch-3").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=DOCS / "console.png")


if __name__ == "__main__":
    sys.exit(main())
