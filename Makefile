# The only set-up commands: `make demo` and `make test` do everything on a machine with python3 and make.
.PHONY: help install demo test lint types fast lock clean
PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= auto

help:  ## list what make can do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## create .venv with the pinned packages and corpuscle itself

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "corpuscle needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; pass PYTHON=python3.12, say")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: install  ## draw cells, train on them, and name the report: needs no data
	$(BIN)/corpuscle demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

fast: install  ## the fast tests alone
	$(BIN)/pytest -n $(WORKERS) -m "not slow"

test: lint types  ## lint, types and all tests
	$(BIN)/pytest -n $(WORKERS)

lock: install  ## pin the newest set that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group dev pyproject.toml -o requirements.lock

clean:  ## remove what make created
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build
