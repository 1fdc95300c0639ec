# Two commands do everything on a fresh machine: `make study` and `make test`.
VENV ?= .venv
PYTHON ?= python3
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One thread per process: two processes on two cores beat two threads in one.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.PHONY: study test test-portable test-slow coverage lint format bench docs pictures clean

study: $(VENV)/ready
	$(VENV)/bin/emtkit run studies/superposition.yaml
	@echo "open results/superposition/report.html"

test: $(VENV)/ready-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

# The tests of numbers again with the kernels that other processors would take.
test-portable: $(VENV)/ready-dev
	$(VENV)/bin/python -m tests.portable

test-slow: $(VENV)/ready-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadscope -m slow

coverage: $(VENV)/ready-dev
	$(VENV)/bin/python -m pytest -n auto --cov --cov-report=term

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

docs: $(VENV)/ready-docs
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "open build/docs/index.html"

PICTURES := emt_spectrum emt_weights emt_hidden twm_wavefield twm_attention \
	superposition_projections superposition_directions

# Trains the small networks of docs/ideas.yaml; what is stored already is not trained again.
pictures: $(VENV)/ready
	$(VENV)/bin/emtkit run docs/ideas.yaml
	for name in $(PICTURES); do \
	    $(VENV)/bin/emtkit figure docs/ideas.yaml $$name --out docs/images/$$name.svg || exit 1; \
	done

clean:
	rm -rf $(VENV) dist build docs/generated .coverage*

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".[fast]"
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) -e ".[fast,dask,parquet,dev]"
	touch $@

$(VENV)/ready-docs: $(VENV)/ready
	$(PIP) -e ".[fast,docs]"
	touch $@
