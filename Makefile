# Everything happens inside this checkout: the environment in .venv, downloads in .cache.

PYTHON ?= python3
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)
VENV := .venv
BIN := $(VENV)/bin

export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint types fmt bench bench-quick faults faults-quick flood docs vendor messages screenshots

help: ## Say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(VENV)/.ready ## Make .venv with the locked packages; the command is .venv/bin/newsletter

$(VENV)/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; name one with PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'Python cannot make a virtual environment; on Debian: apt-get install python3-venv'; exit 1; }
	@$(BIN)/uv --version 2>/dev/null | grep -q '^uv $(UV_VERSION)' || $(BIN)/python -m pip install --quiet --no-cache-dir uv==$(UV_VERSION)
	@$(BIN)/uv sync --frozen --quiet --inexact --compile-bytecode
	@touch $@

demo: setup ## Send two sample issues through a local catcher and account for every recipient
	@$(BIN)/newsletter demo

run: setup ## Serve pages and send what is due, in one process
	@$(BIN)/newsletter serve

test: setup ## Run every test; starts its own PostgreSQL, Redis and SMTP servers
	@$(BIN)/pytest --numprocesses 3 --dist worksteal

lint: types ## Check style, types and who imports whom
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/lint-imports

types: setup ## Check the types alone
	@$(BIN)/mypy

fmt: setup ## Bring the code into form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup ## Measure and write BENCHMARKS.md
	@$(BIN)/python -m benchmarks.run

bench-quick: setup ## Measure the ratios that count in under a minute; the last line is JSON
	@$(BIN)/python -m benchmarks.quick

faults: setup ## Break everything while it sends, long form; writes the table of docs/reliability.md
	@$(BIN)/python -m tests.faults --write docs/reliability.md

faults-quick: setup ## Ten kinds of fault and more in under a minute; the last line is JSON
	@$(BIN)/python -m tests.faults --quick

flood: setup ## 5,000 sign-ups for one address from 1,000 others, on PostgreSQL too
	@FLOOD=whole $(BIN)/pytest -k test_5000_sign_ups tests/integration/test_sign_up_abuse.py

docs: setup ## Write the command reference anew
	@$(BIN)/typer newsletter.cli.app utils docs --name newsletter --title Commands --output docs/commands.md

vendor: ## Make what the desk's pages take from others anew, from vendoring/; needs npm
	@cd vendoring && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node build.mjs

messages: setup ## Collect what pages and mails say into newsletter/locale/*.pot
	@$(BIN)/python -m tests.messages

screenshots: setup ## Picture every page in build/screenshots; SUBJECTS=issues some of them
	@$(BIN)/python -m tests.screenshots $(SUBJECTS)
