# `make` lists the targets. Each installs what it needs: Python packages in .venv, npm packages in web/node_modules.
.DEFAULT_GOAL := help
.PHONY: help setup dev test test-page test-python fuzz check fix migrate bench web weights wheel release lock env-example clean

PYTHON ?= python3
BIN := .venv/bin
VENV := .venv/.installed
NODE := web/node_modules/.installed
PAGE := web/dist/index.html
PAGE_SOURCES := $(shell find web/src web/public web/element/src -type f 2>/dev/null) $(wildcard web/*.js web/*.html web/*.json web/element/*.js web/element/*.json)
# Three processes keep two cores busy beside the browsers: many tests wait for a process or a pause. With four, some time
# out where something else runs as well.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
# Each process that a test starts would compile what it imports, which takes a third as long again as the start.
unexport PYTHONDONTWRITEBYTECODE
CODE := chatkit_server store tests bench alembic scripts examples web/e2e/agents

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV) $(PAGE) ## Install everything and build the page

dev: $(VENV) $(NODE) weights ## Run the server and the page on http://127.0.0.1:8000 and reload on changes
	@sh scripts/dev.sh

test: setup weights ## Run all tests: page, server, store on SQLite and PostgreSQL
	cd web && npm run --silent check
ifdef PYTEST_ARGS
	cd web && npm run --silent test
	$(PYTEST) $(PYTEST_ARGS)
else
	@$(MAKE) --no-print-directory --jobs=2 test-page test-python
endif

# At the same time, since browsers wait for the page as tests of the server do for pauses. The page is built before: tests
# of the server read it. What its tests print comes in one piece at their end.
test-page:
	@log=$$(mktemp) && { (cd web && npm run --silent test) > $$log 2>&1; code=$$?; cat $$log; rm $$log; exit $$code; }

test-python:
	$(PYTEST) -m "not postgresql" --cov --cov-report=term
	$(PYTEST) -m postgresql

fuzz: $(VENV) ## Send the server tens of thousands of invalid requests (20 minutes)
	FUZZ=1 $(BIN)/python -m pytest -n 2 tests/routes/test_fuzz.py

check: setup ## Lint and type-check without changing anything
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd web && npm run --silent check

fix: $(VENV) ## Fix lint and format errors where possible
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

migrate: $(VENV) ## Migrate the database at CHATKIT_DATABASE_URL
	$(BIN)/chatkit-server migrate

bench: setup ## Benchmark against the stock SDK in 15 minutes; BENCH_ARGS=--quick takes three
	$(BIN)/python -m bench $(BENCH_ARGS)

web: $(PAGE) ## Build the page

weights: $(VENV) ## Fetch the embedded model once per user (94 MB)
	@$(BIN)/python -m chatkit_server.models.weights

wheel: setup ## Build wheels and sdists in dist, with the page and the migrations in them
	$(BIN)/python scripts/release.py build

release: setup ## Build and check a release in dist: packages, checksums, lists of what is in them
	$(BIN)/python scripts/release.py all

lock: $(VENV) ## Update the lock files from pyproject.toml and package.json
	$(BIN)/uv pip compile --quiet --universal --no-build-isolation --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--all-extras --group dev --no-emit-package chatkit-store --no-emit-package chatkit-server \
		--output-file requirements.lock pyproject.toml store/pyproject.toml
	cd web && npm install --package-lock-only

env-example: $(VENV) ## Generate .env.example and docs/settings.schema.json from the settings
	$(BIN)/chatkit-server settings > .env.example
	$(BIN)/chatkit-server settings --json-schema > docs/settings.schema.json

clean: ## Remove everything installed and built; keep databases
	rm -rf .venv web/node_modules web/dist web/dist-dev web/element/dist .mypy_cache .ruff_cache .pytest_cache

# --no-deps: the lock file names every package, with its hash.
$(VENV): requirements.lock pyproject.toml store/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed (make PYTHON=python3.12 ...)" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing $$(grep -c '^[a-z].*==' requirements.lock) Python packages, which takes minutes..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable ./store --editable .
	@touch $@

$(NODE): web/package.json web/package-lock.json web/element/package.json
	@command -v npm > /dev/null || { echo "Node 20.19 or newer with npm is needed to build the page."; exit 1; }
	@echo "Installing npm packages..."
	@cd web && npm ci --silent --no-audit --no-fund
	@touch $@

$(PAGE): $(NODE) $(PAGE_SOURCES)
	@echo "Building the page..."
	@cd web && npm run --silent build
	@touch $@
