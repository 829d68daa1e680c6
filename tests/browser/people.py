"""People who log in to the console in a browser."""

from __future__ import annotations

from punklab import roles
from tests.browser.conftest import PASSWORD
from tests.factories import make_user


def person(role: str) -> str:
    roles.sync()
    return make_user(role, password=PASSWORD).username
