# Each target is one line; `make lab` and `make test` are all a new user needs.
PYTHON ?= python3
PORT ?= 8000
.PHONY: lab test coverage check bench accuracy screenshots
lab: .venv/installed ; @.venv/bin/python manage.py lab --punks "$(PUNKS)" --port $(PORT)
test: .venv/installed-dev check ; .venv/bin/pytest -n 2
coverage: .venv/installed-dev ; .venv/bin/pytest -n 2 --cov
check: .venv/installed-dev ; .venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/lint-imports && .venv/bin/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html') && .venv/bin/djlint --lint --quiet templates && .venv/bin/mypy . && .venv/bin/python manage.py makemigrations --check --dry-run && .venv/bin/python manage.py check --fail-level WARNING
bench: .venv/installed-dev ; .venv/bin/python -m tests.bench
accuracy: .venv/installed-dev ; .venv/bin/python -m tests.accuracy
screenshots: .venv/installed-dev ; .venv/bin/python -m tests.screenshots
.venv/installed: requirements.txt ; @$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "punklab needs Python 3.11 or newer: make lab PYTHON=python3.11")' && echo "Installing into .venv; torch alone takes a few minutes ..." && $(PYTHON) -m venv .venv && .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt && touch $@
.venv/installed-dev: requirements-dev.txt .venv/installed ; .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt && touch $@
