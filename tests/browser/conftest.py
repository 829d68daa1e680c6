from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PASSWORD = "correct horse"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class Chromium:
    """A browser that starts with its first page: from then on this thread may not ask the database (see `aside`)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._running = ExitStack()
        self._browser: Browser | None = None

    def new_context(self, **options: Any) -> BrowserContext:
        """A context of its own, closed with the browser; options as Playwright takes them."""
        if self._browser is None:
            playwright = self._running.enter_context(sync_playwright())
            self._browser = playwright.chromium.launch(executable_path=self._path, args=ARGUMENTS)
            self._running.callback(self._browser.close)
        return self._browser.new_context(**options)

    def new_page(self, **options: Any) -> Page:
        return self.new_context(**options).new_page()

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def chromium(live_server: Any, browser: Chromium) -> Chromium:
    """A browser for the pages of this test's database."""
    return browser


@pytest.fixture
def browser() -> Iterator[Chromium]:
    """The machine's own Chromium. Without one the test is skipped; under CI it fails."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing = f"no browser on this machine (looked for {', '.join(BROWSERS)}); Debian's package is chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    opened = Chromium(found)
    yield opened
    opened.close()


@pytest.fixture
def aside() -> Callable[[Callable[[], Any]], Any]:
    """Runs a function that asks the database in a thread of its own: Playwright's has an event loop, Django refuses it."""

    def run(work: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def whole() -> None:
            try:
                found.append(work())
            finally:
                connections.close_all()

        thread = threading.Thread(target=whole)
        thread.start()
        thread.join(60)
        assert found, "the work failed; its traceback is above"
        return found[0]

    return run


@pytest.fixture
def log_in(chromium, live_server, settings):
    """Logs somebody in and opens a page; fails at the end when the browser complained or asked another host."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
    complaints = []

    def opened(username: str, path: str, **options):
        page = chromium.new_page(viewport={"width": 1280, "height": 900}, **options)
        page.on(
            "console",
            lambda message: complaints.append(f"{page.url}: {message.text}") if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: complaints.append(sent.url) if live_server.url not in sent.url else None)
        page.goto(f"{live_server.url}/console/login/?next={path}")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        return page

    yield opened
    assert complaints == []
