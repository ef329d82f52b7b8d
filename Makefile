# make demo: the main job on real data.   make test: every check.   Both set up what they need.
# make coverage: the tests, and the lines that none of them reaches; takes half as long again.
# make faults: kills, full disks, damaged files, hostile input, at length; goes on where it was.
# Each target installs only when pyproject.toml or constraints.txt changed since the last installation.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
DEMO_DIR ?= demo
PYTEST := OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n 2 --dist worksteal

.PHONY: help demo test coverage faults lint format bench audit clean
.DEFAULT_GOAL := help

help:
	@grep -hE '^# make' Makefile | sed 's/^# //'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "coteach needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[segmentation]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $(RUN_STAMP) $@

demo: $(RUN_STAMP)
	$(BIN)/coteach demo --output-dir $(DEMO_DIR)

lint: $(DEV_STAMP)
	$(BIN)/ruff format --check src tests benchmarks examples scripts
	$(BIN)/ruff check src tests benchmarks examples scripts
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(DEV_STAMP)
	$(BIN)/ruff format src tests benchmarks examples scripts
	$(BIN)/ruff check --fix src tests benchmarks examples scripts

test: lint
	$(PYTEST)

coverage: $(DEV_STAMP)
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

faults: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/faults/run_faults.py

bench: $(RUN_STAMP)
	$(BIN)/python benchmarks/nc_landcover.py

audit: $(DEV_STAMP)
	@$(BIN)/python tests/faults/audit_pins.py constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
