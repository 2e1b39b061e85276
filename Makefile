# Targets for contributors. They need only Python and make; `make` lists them.

PYTHON ?= python3
VENV ?= .venv
# Additional arguments for pytest, such as PYTEST_ARGS='-k list -x', or -n0 for one process.
PYTEST_ARGS ?=
# One process more than cores, since some tests wait.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)' 2> /dev/null || echo auto)

# Seconds for each target of `make fuzz`.
FUZZ_SECONDS ?= 60

# Each process of a test run would otherwise compile every test again, for half a minute.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.DEFAULT_GOAL := help
.PHONY: help env demo lint types test test-exhaustive simulate test-sdk test-integration test-langgraph test-langgraph-dev test-browser test-benchmarks pictures test-all chaos crash soak fuzz bench bench-full docs docs-serve clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(STAMP) ## create the virtual environment, or update it after pyproject.toml changed

# The package with the extras that the tests use.
PACKAGE := -e '.[aiobotocore,cli,crypto,inventory]'

# uv is many times faster than pip with these dependencies. Where it can't be installed, or fails (it doesn't trust the
# system's certificates), or with INSTALLER='pip>=25.1', pip installs them; older versions don't know dependency groups.
INSTALLER ?= uv

# Install into a virtual environment: $(call install,VENV,ARGUMENTS).
define install
@set -x; [ -x $(BIN)/uv ] && $(BIN)/uv pip install --quiet --python $(1)/bin/python $(2) \
|| $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endef

$(STAMP): pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON): install Python 3.10 or later, or name one with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is too old: Python 3.10 or later is needed; name one with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) can't make virtual environments: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(INSTALLER)' 'pip>=25.1' \
	|| { echo "uv can't be installed here: pip does it, more slowly"; $(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'; }
	$(call install,$(VENV),$(PACKAGE) --group dev)
	@touch $@

demo: env ## a demo on a local S3 server
	$(BIN)/python -m examples.demo

lint: env ## ruff's rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env ## mypy, strict
	$(BIN)/mypy

# Tests take very different times, so idle processes steal work.
test: env lint types ## lint, types and the tests that need no server
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

test-exhaustive: env ## `make test` with every crash point and order that it samples
	EXHAUSTIVE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

test-sdk: env ## the contract on moto with the SDK's clients (transport="sdk") instead of the package's own
	S3_TEST_TRANSPORT=sdk $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/contract --ignore tests/contract/admin $(PYTEST_ARGS)

test-integration: env ## the tests against the local server, rclone, Ceph and LocalStack, or against S3_ENDPOINT_URL
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m integration tests/integration $(PYTEST_ARGS)

# A separate environment: LangGraph's tests are a package named `tests`, too, and have their own requirements.
LANGGRAPH_VENV := .venv-langgraph
LANGGRAPH_TESTS := .langgraph-tests
SUITE := tests/langgraph_suite
LANGGRAPH_PACKAGE := -e '.[crypto]'

$(LANGGRAPH_VENV)/.stamp: pyproject.toml $(SUITE)/langgraph.txt $(SUITE)/requirements.txt | $(STAMP)
	$(PYTHON) -m venv $(LANGGRAPH_VENV)
	$(LANGGRAPH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check hatchling
	rm -rf $(LANGGRAPH_TESTS)
	$(LANGGRAPH_VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-binary :all: --require-hashes -r $(SUITE)/langgraph.txt -d $(LANGGRAPH_TESTS)
	$(call install,$(LANGGRAPH_VENV),$(LANGGRAPH_PACKAGE) -r $(SUITE)/requirements.txt $(LANGGRAPH_TESTS)/*.tar.gz)
	for package in $(LANGGRAPH_TESTS)/*.tar.gz; do folder=$${package%%-[0-9]*}; mkdir $$folder; tar -xzf $$package -C $$folder --strip-components=1; rm -rf $$folder/langgraph; done
	@touch $@

test-langgraph: env $(LANGGRAPH_VENV)/.stamp ## LangGraph's own tests, from PyPI, with S3Saver, S3Store and S3Cache in place of its own
	$(BIN)/python -m tests.langgraph_suite --python $(LANGGRAPH_VENV)/bin/python --suite $(LANGGRAPH_TESTS) --workers $(WORKERS) $(PYTEST_ARGS)

# A separate environment: the server pins many dependencies.
DEV_VENV := .venv-langgraph-dev

$(DEV_VENV)/.stamp: pyproject.toml | $(STAMP)
	$(PYTHON) -m venv $(DEV_VENV)
	$(call install,$(DEV_VENV),-e . 'langgraph-cli[inmem]')
	@touch $@

test-langgraph-dev: env $(DEV_VENV)/.stamp ## the checkpointer under `langgraph dev`, from PyPI (Python 3.11 or later)
	LANGGRAPH_DEV=$(CURDIR)/$(DEV_VENV)/bin/langgraph $(BIN)/python -m pytest -n0 -m integration tests/langgraph_dev $(PYTEST_ARGS)

test-browser: env ## the report's page in Chromium: the system's, or CHROMIUM=path
	$(BIN)/python -m pytest -n0 -m integration tests/browser $(PYTEST_ARGS)

test-benchmarks: env ## tests of the benchmarks
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m integration tests/benchmarks $(PYTEST_ARGS)

pictures: env ## update the pictures in README and docs; the screenshots need Chromium, and the site's `make docs`
	$(BIN)/python -m tests.cli.pictures
	$(BIN)/python -m tests.site.picture

test-all: ## the tests on every installed Python from 3.10 on
	@MAKE='$(MAKE)' .ci/test-all $(PYTEST_ARGS)

fuzz: env ## parsers of untrusted bytes, with atheris, a minute a target (FUZZ_SECONDS)
	$(call install,$(VENV),$(PACKAGE) --group fuzz)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

# On moto, or on a server of the integration tests: local, rclone, ceph or localstack.
CHAOS_SERVER ?=
CHAOS = $(if $(CHAOS_SERVER),-m integration tests/integration/test_chaos.py -k $(CHAOS_SERVER),tests/contract/test_chaos.py tests/contract/test_histories.py)

chaos: env ## 10,000 operations while one request in five fails; CHAOS_SEED=n repeats a seed, CHAOS_SERVER=ceph for Ceph
	CHAOS_OPERATIONS=$${CHAOS_OPERATIONS:-10000} CHAOS_HISTORIES=$${CHAOS_HISTORIES:-100} CHAOS_SEED=$${CHAOS_SEED:-0} S3_TEST_REQUIRE=$(CHAOS_SERVER) $(BIN)/python -m pytest -n0 -s $(CHAOS) $(PYTEST_ARGS)

simulate: env ## 10,000 histories of processes interleaved request by request (SIMULATIONS); SIMULATION_SEED=n repeats one
	SIMULATIONS=$${SIMULATIONS:-10000} $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/simulation $(PYTEST_ARGS)

crash: env ## 200 workers killed with SIGKILL at random moments, on Ceph; CRASH_SEED=n repeats a seed
	CRASHES=$${CRASHES:-200} CRASH_SEED=$${CRASH_SEED:-0} S3_TEST_REQUIRE=ceph $(BIN)/python -m pytest -n0 -s -m integration -k 'ceph or external' tests/integration/test_crash.py $(PYTEST_ARGS)

soak: env ## 20 minutes of many threads and loops on one saver: memory, sockets and threads stay flat (SOAK_SECONDS, SOAK_SERVER)
	$(BIN)/python -W error -m tests.soak --seconds $${SOAK_SECONDS:-1200} --server $${SOAK_SERVER:-moto} --seed $${SOAK_SEED:-0}

bench: env ## benchmarks of storage, encoding, turns and operations, in a few minutes
	$(BIN)/python -m benchmarks.storage
	$(BIN)/python -m benchmarks.encoding
	$(BIN)/python -m benchmarks.turns --workload chat agent fan-out
	$(BIN)/python -m benchmarks.operations

# Tables of `make bench-full`. It also draws docs/charts/turns.svg, and records benchmarks/baseline.json.
RESULTS := .benchmarks

bench-full: env ## the same with peers: tables in .benchmarks/, and a new chart and baseline
	$(BIN)/python -m benchmarks.storage --turns 100 1000 --peers --write $(RESULTS)/storage.md
	$(BIN)/python -m benchmarks.encoding --write $(RESULTS)/encoding.md
	$(BIN)/python -m benchmarks.turns --turns 200 --cold 15 --peers --compare --record --chart docs/charts/turns.svg --write $(RESULTS)/turns.md
	$(BIN)/python -m benchmarks.operations --whole --compare --record --write $(RESULTS)/operations.md
	-$(BIN)/python -m benchmarks.elsewhere --turns 50 --peers --write $(RESULTS)/elsewhere.md
	-$(BIN)/python -m benchmarks.dynamodb --turns 200 --write $(RESULTS)/dynamodb.md

# Installed only by the targets that need it.
DOCS_STAMP := $(VENV)/.stamp-docs
docs docs-serve: export NO_MKDOCS_2_WARNING = 1

$(DOCS_STAMP): pyproject.toml | $(STAMP)
	$(call install,$(VENV),$(PACKAGE) --group dev --group docs)
	@touch $@

docs: env $(DOCS_STAMP) ## the documents as a site in site/, every link checked
	$(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest -n0 -m integration tests/site $(PYTEST_ARGS)

docs-serve: env $(DOCS_STAMP) ## the site at http://127.0.0.1:8000, updated at each change
	$(BIN)/mkdocs serve --strict

clean: ## remove everything that the targets created
	rm -rf .venv .venv-3.* $(DEV_VENV) $(LANGGRAPH_VENV) $(LANGGRAPH_TESTS) .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz $(RESULTS) build dist site
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
