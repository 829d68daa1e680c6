"""Giving the machine back, with its own key. The site does it too; whichever comes first."""

from __future__ import annotations

import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two tries
GRACE = 90.0  # seconds after the deadline that the program has to end in good order
_HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Machine:
    """This machine as its provider knows it."""

    api_url: str
    pod: str
    key: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Machine:
        """What can be known even in an environment that is none of ours."""
        return cls(
            api_url=environment.get("LORA_API_URL", ""),
            pod=environment.get("RUNPOD_POD_ID", ""),
            key=environment.get("RUNPOD_API_KEY", ""),
        )

    def give_back(self) -> bool:
        """Ask once to be deleted. The key is sent over https alone, or to this very machine."""
        parts = urllib.parse.urlsplit(self.api_url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
        if not (self.pod and self.key and is_safe):
            return False
        request = urllib.request.Request(  # noqa: S310 - the scheme is looked at above
            f"{self.api_url.rstrip('/')}/pods/{urllib.parse.quote(self.pod, safe='')}",
            method="DELETE",
            headers={
                "Authorization": f"Bearer {self.key}",
                "User-Agent": "punklab-pod/1",
            },  # urllib's own may be barred
        )
        try:
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                return True
        except (OSError, ValueError) as error:
            say(f"the machine could not be given back: {error}")
            return False

    def leave(self) -> NoReturn:
        """Ask to be deleted until it happens, then wait for it: a program that ended would be started again."""
        pause = FIRST_PAUSE
        while True:
            pause = LONGEST_PAUSE if self.give_back() else min(LONGEST_PAUSE, 2 * pause)
            time.sleep(pause)

    def leave_after(self, deadline: float) -> None:
        """Give the machine back a little after the Unix time `deadline`, should the program hang on the volume till then."""

        def wait() -> None:
            while (left := deadline + GRACE - time.time()) > 0:
                time.sleep(min(left, 30.0))
            self.leave()

        threading.Thread(target=wait, name="deadline", daemon=True).start()


def say(text: str) -> None:
    """A line in the pod's log."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
