# make up       a working instance on this machine (embedded engine), a real task run on it, and what to do next
# make down     stop it; its data stays
# make test     everything that needs no Docker
# make faults   processes killed, disks filled: a seeded sample
# make bench    speed against peers, as ratios in one run
# make lint     style, types, boundaries, and a reading of lengths

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: up down test e2e faults bench lint
.DEFAULT_GOAL := up

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: $(READY)
	$(BIN)/python -m pytest

faults: $(READY)
	$(BIN)/python -m pytest -m fault

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
