# Each target sets up what it needs; the first one to run makes .venv and installs (about 2 minutes).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-compare test dev check bench docs clean

demo: .venv/installed
	$(BIN)/synclr demo

demo-compare: .venv/installed
	$(BIN)/synclr demo --compare

test: .venv/installed
	$(BIN)/pytest -n 2

dev: .venv/installed
	$(BIN)/synclr dev

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench: .venv/installed
	$(BIN)/python -m benchmarks

docs: .venv/installed
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv .synclr

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("synclr needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,platform,generators,dev]'
	touch $@
