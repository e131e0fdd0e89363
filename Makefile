# Every target works from a bare checkout: it makes .venv first, and again when pyproject.toml changes.

.DEFAULT_GOAL := help
.PHONY: help demo test coverage suites exercise check format lint types imports bench fuzz atheris sanitized lock sbom clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := pgcrypt_proxy tests hatch_build.py $(wildcard bench)

# Any of these that is 3.11 or newer, the first wins; PYTHON=... on the command line overrides.
PYTHON ?= $(shell for python in python3.11 python3 python3.13 python3.12 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; \
	done)

# Workers for pytest-xdist, and anything else for pytest: make test PYTEST_ARGS="-k startup"
WORKERS ?= auto
PYTEST_ARGS ?=

# How long `make fuzz` asks made-up statements, and anything else for tests/fuzz: make fuzz MINUTES=60 FUZZ_ARGS="--seed 7"
MINUTES ?= 5
FUZZ_ARGS ?=

# Which tests of other projects `make suites` runs: make suites SUITES_ARGS="--short asyncpg"
SUITES_ARGS ?=

# How many rows `make exercise` works on, and anything else for tests/exercise: make exercise ROWS=100000
ROWS ?= 1000000
EXERCISE_ARGS ?=

# Anything for python -m bench: make bench BENCH_ARGS="--short --parts bulk"
BENCH_ARGS ?=

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(STAMP) ## See it work in a minute: a PostgreSQL, a proxy, an application, and what the server stores
	$(BIN)/pgcrypt-proxy demo

test: $(STAMP) ## Run the tests against a real PostgreSQL that comes with the development dependencies
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

suites: $(STAMP) ## Run the tests of drivers and frameworks direct and through the proxy: SUITES_ARGS="--short asyncpg"
	$(BIN)/python -m tests.suites $(SUITES_ARGS)

check: lint types imports ## All that a change must pass: format, lint, types, layers, tests
	$(MAKE) --no-print-directory test

coverage: $(STAMP) ## The tests, twice as long, and which lines of the product they never reach
	$(MAKE) --no-print-directory test PYTEST_ARGS="--cov --cov-report=term $(PYTEST_ARGS)"

format: $(STAMP) ## Put the code into its one form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lint: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

bench: $(STAMP) ## Measure what the proxy costs: BENCH_ARGS=--short for minutes instead of half an hour
	$(BIN)/python -m bench $(BENCH_ARGS)

exercise: $(STAMP) ## Seal, rotate and open columns of a table under load, killing the commands on the way: ROWS=1000000
	$(BIN)/python -m tests.exercise --rows $(ROWS) $(EXERCISE_ARGS)

fuzz: $(STAMP) ## Run the property tests with a hundred times the examples, then ask twins made-up statements: MINUTES=5
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest -n $(WORKERS) -m "not integration" --timeout=1800 $(PYTEST_ARGS)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --sqlsmith --details $(FUZZ_ARGS)

atheris: $(STAMP) ## Give every decoder, and whole sessions, bytes that atheris makes up: MINUTES=5 for each
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev,fuzz]'
	$(BIN)/python -m tests.decoders --minutes $(MINUTES) $(FUZZ_ARGS)

SANITIZED := build/sanitized
SANITIZER := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g -U_FORTIFY_SOURCE

sanitized: $(STAMP) ## Run the tests of the compiled code, and of what uses it, under ASan and UBSan
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r pgcrypt_proxy tests docs pyproject.toml $(SANITIZED)
	$(BIN)/python pgcrypt_proxy/fast/build.py $(SANITIZED)/pgcrypt_proxy/fast/native.abi3.so $(SANITIZER)
	cd $(SANITIZED) && PGCRYPT_ROWS=compiled PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	$(CURDIR)/$(BIN)/python -m pytest -q -m "not integration" --timeout=1200 $(PYTEST_ARGS) \
	tests/fast tests/wire tests/crypto tests/session

TOOLS := build/tools

lock: ## Pin what the product is installed with, by hash: requirements.lock
	"$(PYTHON)" -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check pip-tools
	$(TOOLS)/bin/pip-compile --quiet --upgrade --generate-hashes --all-build-deps --strip-extras --no-header \
	--no-emit-index-url --no-emit-options --extra aws --extra vault --extra sqlalchemy \
	--output-file requirements.lock pyproject.toml

sbom: ## Write down, as CycloneDX, all that the product is made of: build/sbom.json
	"$(PYTHON)" -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom
	$(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-file build/sbom.json requirements.lock

clean: ## Remove all that the other targets made
	rm -rf $(VENV) dist build htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f pgcrypt_proxy/fast/*.so
	rm -f .coverage .coverage.* coverage.xml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml hatch_build.py $(wildcard pgcrypt_proxy/fast/*.[ch])
	@test -n "$(PYTHON)" || { echo "pgcrypt-proxy needs Python 3.11 or newer; none of python3.11, python3 is. \
	Install one, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' || { \
	echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
	@touch $@
