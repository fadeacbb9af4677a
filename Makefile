# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help demo test lint types check bench layer collector clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(STAMP)  ## trace a Powertools handler into an embedded receiver and draw it
	@$(PY) examples/demo/run.py

collector: $(STAMP)  ## obtain the Collector and the Lambda emulator that the tests run against
	$(PY) -m tests.support.collector
	$(PY) -m tests.support.lambda_emulator

test: $(STAMP) collector  ## run every test
	$(PY) -m pytest $(PYTEST)

lint: $(STAMP)  ## formatting, lint rules, import directions
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports

types: $(STAMP)  ## mypy and pyright, strict, on the package and on a user's code
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(PY)

check: lint types test  ## all of it

bench: $(STAMP)  ## measure what the README claims
	$(PY) -m benchmarks

layer: $(STAMP)  ## build the Lambda layer zip: make layer LAYER='--python 3.13 --arch arm64'
	$(PY) layer/build.py $(LAYER)

clean:  ## remove what was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
