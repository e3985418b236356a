# make up       a working instance on this machine, a real task run on it, and what to do next
# make down     stop it; its data stays
# make test     everything that needs no Docker
# make faults   processes killed, disks filled: a seeded sample of the long runs
# make bench    speed beside peers, as ratios of one run
# make lint     style, types, boundaries, and a reading of lengths

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-bench
ENGINE ?= embedded
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := up
.PHONY: up down test faults bench lint

up: $(READY)
	@$(BIN)/sfp-server demo --engine $(ENGINE)

down: $(READY)
	@$(BIN)/sfp-server stop --tenant demo

test: $(READY)
	@$(BIN)/python -m pytest

faults: $(READY)
	@$(BIN)/python -m pytest -m fault

bench: $(READY) $(PEERS)/.ready
	@$(BIN)/python -m tests.bench $(PEERS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config tests/house/importlinter.toml
	@$(BIN)/python -m tests.house.lengths

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): about a minute, once"
	@$(BIN)/$(PIP) --require-hashes --requirement requirements.lock
	@$(BIN)/$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS)/.ready: tests/bench/requirements.lock
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "Installing the peers into $(PEERS)"
	@$(PEERS)/bin/$(PIP) --require-hashes --requirement tests/bench/requirements.lock
	@touch $@
