# `make demo` shows it all, `make test` checks it all; both install what is missing first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test faults soak audit down lock clean

VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/uv/bin/uv
READY := $(VENV)/.ready
LOCKS := serve servers dev
PACKAGES = $(shell $(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["importlinter"]["root_packages"])')
COMPILE := pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

# Triton loads Python as a shared library, so an interpreter built as one is preferred.
SUITABLE := import sys, sysconfig; v = (3, 11) <= sys.version_info[:2] <= (3, 13); \
	sys.exit(not (v and (sys.argv[1:] or sysconfig.get_config_var("Py_ENABLE_SHARED"))))
PYTHON ?= $(shell for any in "" any; do for p in python3.12 python3.11 python3.13 python3 python; do \
	$$p -c '$(SUITABLE)' $$any >/dev/null 2>&1 && echo $$p && exit; done; done)

ifdef ML1M_DIR
export ML1M_DIR
endif

help:
	@echo "make setup   install everything into $(VENV) and .reelstream/cache"
	@echo "make demo    train, publish, replay and recommend; ML1M_DIR=folder of MovieLens-1M, else it is fetched"
	@echo "make test    style, types, imports between packages, security, tests"
	@echo "make faults  a replay for each of many faults, then the proof; JSON=file writes the figures"
	@echo "make soak    500 events and 20 requests a second for MINUTES=60: what grows, fails or complains; JSON=file"
	@echo "make audit   known weaknesses of the dependencies; asks the network"
	@echo "make down    stop the servers"
	@echo "make lock    resolve requirements/*.in anew into requirements/*.txt"
	@echo "make clean   remove what setup installed; data and models stay"

setup: $(READY)

$(READY): pyproject.toml requirements/bootstrap.txt requirements/dev.txt requirements/triton.txt
	@[ -n "$(PYTHON)" ] || { echo "error: no Python 3.11, 3.12 or 3.13 is found; install one or run make PYTHON=path" >&2; exit 1; }
	@echo "installing Python packages into $(VENV); this takes some minutes the first time" >&2
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@[ -x $(UV) ] || { $(BIN)/python -m venv $(VENV)/uv && \
		$(VENV)/uv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes \
			-r requirements/bootstrap.txt; } || echo "uv cannot be had here; going on with pip, which is slower" >&2
	@if [ -x $(UV) ]; then \
		$(UV) pip sync -q --require-hashes --python $(BIN)/python requirements/dev.txt; \
		$(UV) pip install -q --no-deps --no-build-isolation --python $(BIN)/python --editable .; \
	else \
		$(BIN)/python -m ensurepip -q 2>/dev/null || true; \
		$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@$(BIN)/python -m servers
	@touch $@

demo: setup
	@$(BIN)/reelstream demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -ll -r $(PACKAGES)
	$(BIN)/pytest

faults: setup
	$(BIN)/python -W ignore -m tests.faults $(if $(JSON),--json $(JSON))

soak: setup
	$(BIN)/python -W ignore -m tests.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json $(JSON))

audit: setup
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/dev.txt

down:
	@[ ! -x $(BIN)/reelstream ] || $(BIN)/reelstream down

lock: setup
	cd requirements && for name in bootstrap $(LOCKS); do ../$(UV) $(COMPILE) $$name.in -o $$name.txt; done
	cd requirements && ../$(UV) $(COMPILE) --no-deps triton.in -o triton.txt

clean: down
	rm -rf $(VENV) .reelstream/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
