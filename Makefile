# Everything a clone needs, with nothing installed but Python (3.11 or later) and make.
#
#   PYTHON       the interpreter that creates the environment      make demo PYTHON=python3.12
#   VENV         where the environment lives                       make test VENV=/tmp/poise
#   TORCH_INDEX  an extra package index for torch. On Linux the default index serves torch with several GB of CUDA
#                libraries; give the address of PyTorch's index of CPU builds to leave them out.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Stamps: an installation is repeated only after a change of what it would install.
RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install demo test pytest lint docs format clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: $(DEV)  ## create the environment with everything a developer needs

demo: $(RUNTIME)  ## do the main job: depth images, encoder, training, evaluation, video, report
	$(BIN)/poise demo

test: lint docs pytest  ## check style, types, the guide and the behaviour

pytest: $(DEV)  ## the behaviour alone, tests side by side
	$(BIN)/python -m pytest -q --durations=10 --numprocesses=auto --maxprocesses=4 --dist=worksteal

lint: $(DEV)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV)  ## build the guide into site/, broken links refused
	$(BIN)/mkdocs build --strict

format: $(DEV)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment, the caches and everything built; runs stay
	rm -rf $(VENV) site dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: poise needs Python 3.11 or\
	 later, and '$(PYTHON)' is not: name another, as in 'make demo PYTHON=python3.12'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing poise into $(VENV) (a few minutes the first time)"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing poise and its development tools into $(VENV) (a few minutes the first time)"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $(RUNTIME) $@
