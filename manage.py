#!/usr/bin/env python
from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "punklab.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        mend = " Start it again, or mend DATABASE_URL." if isinstance(error, OperationalError) else ""
        what = "The database does not answer: " if mend else ""
        sys.exit(f"{what}{' '.join(str(error).split())}{mend}")
