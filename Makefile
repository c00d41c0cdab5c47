# One verb each; `make help` lists them. Everything sets itself up: `make demo` on a fresh clone works.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help setup setup-full demo lint fmt types test test-full engines bench arm-proof soak wheel clean

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; name one with PYTHON=..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module: sudo apt-get install python3-venv"; exit 3; }

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) (about 300 MB, once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) with the development tools (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@touch $@ $(VENV)/.run

$(VENV)/.full: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) with torch and the factory (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check 'torch==2.13.0' -e '.[dev,bench,train]'
	@touch $@ $(VENV)/.dev $(VENV)/.run

setup: $(VENV)/.dev ## environment with the development tools
setup-full: $(VENV)/.full ## the same with torch and the factory

demo: $(VENV)/.run ## cut objects out of photos and a clip; prints where the page is
	@$(BIN)/python demo/run.py --out out/demo

fmt: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## style, and who may import whom
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.dev ## strict types of the runtime and the benchmarks
	@$(BIN)/mypy -p edgesam_rt -p benchmarks

test: lint types ## what CI runs: lint, types and the tests that need no torch
	@$(BIN)/python -m pytest

test-full: $(VENV)/.full lint ## all tests, the factory's with torch too: before a change of engines/ lands
	@$(BIN)/mypy
	@HYPOTHESIS_CASES=new $(BIN)/python -m pytest -m 'torch or slow or not slow' --timeout 1200

engines: $(VENV)/.full ## build the bundles that ship, and the float twin under out/, from the checkpoints
	@$(BIN)/edgesam-engines build pocketsam-int8 --calibration $(DATA)/photos --out engines/prebuilt/pocketsam-int8 --replace
	@$(BIN)/edgesam-engines add-litert engines/prebuilt/pocketsam-int8 --photos $(DATA)/photos
	@$(BIN)/edgesam-engines build pocketsam-fp32 --out out/bundles/pocketsam-fp32 --replace
	@$(BIN)/edgesam-engines add-litert out/bundles/pocketsam-fp32 --photos $(DATA)/photos
	@$(BIN)/edgesam-engines build yolox-nano-int8 --checkpoint $(DATA)/weights --calibration $(DATA)/photos \
	  --truth $(DATA)/masks/coco_train_tiny --truth $(DATA)/masks/coco_person_val2017 --out engines/prebuilt/yolox-nano-int8 --replace

bench: engines ## the README's figures: accuracy, speed, pipeline, into benchmarks/results/
	@$(BIN)/python -m benchmarks.all --data $(DATA) --float out/bundles/pocketsam-fp32 --out benchmarks/results
	@$(BIN)/python -m edgesam_engines.evaluate --checkpoint engines/checkpoints/pocketsam-0.3.safetensors --data $(DATA) --json benchmarks/results/accuracy-torch.json

arm-proof: $(VENV)/.dev ## the job on an emulated Raspberry Pi 5 and 4 against this machine; needs root, ten minutes
	@$(BIN)/python -m benchmarks.arm --json benchmarks/results/arm-proof.json
	@$(BIN)/python -m benchmarks.report benchmarks/results/arm-proof.json --update docs/arm-proof.md

soak: $(VENV)/.full ## 100,000 frames while the camera and the broker fail; needs mosquitto and GStreamer, a quarter of an hour
	@$(BIN)/edgesam-engines build benchmarks/soak/pocketsam-soak.toml --calibration $(DATA)/photos --out out/bundles/pocketsam-soak --replace
	@$(BIN)/python -m benchmarks.soak --json benchmarks/results/soak.json
	@$(BIN)/python -m benchmarks.report benchmarks/results/soak.json --update docs/service.md

wheel: $(VENV)/.dev ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --outdir dist .

clean: ## remove what the other verbs made
	@rm -rf $(VENV) out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
