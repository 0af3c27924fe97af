# `make demo` shows the system, `make test` checks it; both first install what is missing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test types style imports security thorough faults erasing soak trimming audit down lock clean

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
ifdef DATASET
export REELSTREAM_DATA__DATASET := $(DATASET)
endif

# Commands and servers are processes that import 2,000 modules each; compiled anew, that takes twice the CPU time.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make setup   install everything into $(VENV) and .reelstream/cache"
	@echo "make demo    train, publish, replay and recommend; downloads MovieLens-1M unless ML1M_DIR=folder is given;"
	@echo "             DATASET=datasets/shop.toml generates a shop, any other description takes its own files"
	@echo "make test    style, types, imports between packages, security, tests"
	@echo "make thorough  the longer cases of system tests, which make test leaves out"
	@echo "make faults  a replay and verification for each of many faults; JSON=file writes the figures"
	@echo "make erasing users erased during a replay: differences, counters, and what is left of them; JSON=file"
	@echo "make soak    500 events/s and 20 requests/s for MINUTES=60: memory growth, failures, error lines; JSON=file"
	@echo "make trimming  MINUTES=15 of archiving and trimming under load: differences, Kafka's disk use; JSON=file"
	@echo "make audit   known vulnerabilities of the dependencies; needs the network"
	@echo "make down    stop the servers"
	@echo "make lock    resolve requirements/*.in into requirements/*.txt again"
	@echo "make clean   remove what setup installed; keep data and models"

setup: $(READY)

$(READY): pyproject.toml requirements/bootstrap.txt requirements/dev.txt requirements/triton.txt
	@[ -n "$(PYTHON)" ] || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or run make PYTHON=path" >&2; exit 1; }
	@echo "installing Python packages into $(VENV); this takes a few minutes the first time" >&2
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@[ -x $(UV) ] || { $(BIN)/python -m venv $(VENV)/uv && \
		$(VENV)/uv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes \
			-r requirements/bootstrap.txt; } || echo "uv is not available; using pip, which is slower" >&2
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
	@$(MAKE) --no-print-directory -j 2 --output-sync types style imports security
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

types: setup
	$(BIN)/mypy

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: setup
	$(BIN)/lint-imports

security: setup
	$(BIN)/bandit -q -ll -r $(PACKAGES)

thorough: setup
	$(BIN)/pytest -m thorough -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest -m hypothesis --hypothesis-profile=thorough -n 2 --dist loadfile --no-loadscope-reorder

faults: setup
	$(BIN)/python -W ignore -m tests.faults $(if $(JSON),--json $(JSON))

erasing: setup
	$(BIN)/python -W ignore -m tests.faults.erasing $(if $(JSON),--json $(JSON))

soak: setup
	$(BIN)/python -W ignore -m tests.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json $(JSON))

trimming: setup
	$(BIN)/python -W ignore -m tests.faults.trimming $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json $(JSON))

audit: setup
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/dev.txt

down:
	@[ ! -x $(BIN)/reelstream ] || $(BIN)/reelstream down

lock: setup
	cd requirements && for name in bootstrap $(LOCKS); do ../$(UV) $(COMPILE) $$name.in -o $$name.txt; done
	cd requirements && ../$(UV) $(COMPILE) --no-deps triton.in -o triton.txt

clean: down
	rm -rf $(VENV) .reelstream/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
