# Every target installs what it needs into this folder first (.tools/, .venv/); a second run starts at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-browser test-all lint format docs bench clean

UV_VERSION := 0.13.8
UV := $(shell command -v uv || echo .tools/bin/uv)
READY := .venv/.ready
RUN := $(UV) run --no-sync

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## record, train, then download -> evaluate -> gate -> plot -> register -> export, on this machine
	@$(RUN) python scripts/demo.py

test: $(READY) ## the test suite, without the minutes-long tests
	$(RUN) pytest

test-slow: $(READY) ## only the minutes-long tests
	$(RUN) pytest -m slow

test-browser: $(READY) ## the report in Debian's chromium (apt-get install chromium)
	$(RUN) pytest -m browser tests/browser

test-all: test test-slow test-browser ## everything

lint: $(READY) ## style, types, import rules, spelling, YAML
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports --no-cache
	$(RUN) typos
	$(RUN) yamllint --strict .
	$(UV) lock --check

format: $(READY) ## rewrite the code in the house style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

docs: $(READY) ## write docs/reference/ again from the code
	$(RUN) python docs/generate.py

bench: $(READY) ## measure against lerobot and write README.md's table; QUICK=1 only tries each benchmark
	@$(RUN) python benchmarks/bench.py $(if $(QUICK),--quick)

clean: ## remove everything the other targets made
	rm -rf .venv .tools .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis runs mlruns dist

$(READY): pyproject.toml uv.lock .python-version | $(UV)
	@echo "installing the locked dependencies into .venv (about 6 GB, once)"
	$(UV) sync --locked --all-extras
	@touch $@

# Only reached where no uv is on the PATH.
.tools/bin/uv:
	@echo "installing uv $(UV_VERSION) into .tools"
	python3 -m venv .tools
	.tools/bin/pip install --quiet uv==$(UV_VERSION)
