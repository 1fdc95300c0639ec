# Two commands do everything on a fresh machine: `make study` and `make test`.
VENV ?= .venv
PYTHON ?= python3
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One thread per process: two processes on two cores beat two threads in one.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.PHONY: study test test-slow lint format bench docs clean

study: $(VENV)/ready
	$(VENV)/bin/emtkit run studies/superposition.yaml
	@echo "open results/superposition/report.html"

test: $(VENV)/ready-dev
	$(VENV)/bin/python -m pytest -n auto

test-slow: $(VENV)/ready-dev
	$(VENV)/bin/python -m pytest -n auto -m slow

lint: $(VENV)/ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/ready-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/ready-dev
	$(PIP) -e ".[fast,bench]"
	$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) dist build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".[fast]"
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) -e ".[fast,dask,parquet,dev]"
	touch $@
