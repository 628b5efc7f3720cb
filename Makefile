# Everything starts here. `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

.PHONY: help setup demo test test-unit test-integration test-e2e test-chaos test-kylin test-kylin-stock check lint types imports manifests bench bench-diagnosis bench-kylin bench-quick lock install.yaml format clean

##@ Use
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-z.-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with the gradcube command, and fetch the broker (idempotent)
	@requirements/setup.sh

demo: setup ## Set up, then train a language model, slow one worker, name it, and ask SQL about it
	@$(BIN)/gradcube demo $(DEMO)

##@ Test
test: setup ## Every test: unit, integration, end to end, chaos
	$(BIN)/pytest -n 2 tests/unit
	$(BIN)/pytest tests/integration tests/e2e tests/chaos

test-unit: setup ## The fast tests, under a minute
	$(BIN)/pytest -n 2 tests/unit

test-integration: setup ## Tests against a real broker, engine and services
	$(BIN)/pytest tests/integration

test-e2e: setup ## The demo, shortened
	$(BIN)/pytest tests/e2e

test-chaos: setup ## Kills and freezes of what is running
	$(BIN)/pytest tests/chaos

test-kylin: setup ## Apache Kylin for real: fetched (148 MB, once), started, killed, stopped
	$(BIN)/pytest -n 3 --dist loadfile tests/kylin --ignore=tests/kylin/stock

test-kylin-stock: setup ## What of Kylin's receiver counts wrongly without our classes: each mend taken away
	$(BIN)/pytest tests/kylin/stock

check: setup-check lint types imports manifests ## Everything that reads the code without running it

.PHONY: setup-check
setup-check:
	@requirements/setup.sh --check

lint: ## ruff: rules and format
	$(BIN)/ruff check libs services tests k8s examples
	$(BIN)/ruff format --check libs services tests k8s examples

types: ## mypy --strict
	$(BIN)/mypy
	$(BIN)/mypy examples

imports: ## Who may import whom
	$(BIN)/lint-imports

manifests: ## k8s manifests render, validate, and install.yaml is current
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python k8s/check.py

##@ Measure
bench: setup ## Every benchmark, as a table and docs/benchmarks.json
	$(BIN)/python -m tests.bench --json docs/benchmarks.json $(BENCH)

bench-diagnosis: setup ## What diagnosis is worth on the public traces, every table (DIAGNOSIS="--quick --seed 1")
	$(BIN)/python -m tests.bench.diagnosis $(DIAGNOSIS)

bench-kylin: setup ## Apache Kylin beside the embedded engine (KYLIN="--facts 5000000")
	$(BIN)/python -m tests.bench.kylin $(KYLIN)

bench-quick: setup ## The benchmarks, short: do they run?
	$(BIN)/python -m tests.bench --quick

##@ Maintain
format: ## Format the code
	$(BIN)/ruff check --fix libs services tests k8s examples
	$(BIN)/ruff format libs services tests k8s examples

lock: ## Compile the locks anew, with hashes and without index URLs
	@requirements/lock.sh

install.yaml: ## Generate k8s/install.yaml
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python k8s/check.py --write

clean: ## Remove what setup and tests made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
