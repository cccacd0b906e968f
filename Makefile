# Needs Python 3.11 or newer and nothing else. Everything is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
# Any pip requirement for torch: a version, or the path of a wheel.
TORCH ?= torch==2.13.0
EXTRAS ?= data,video,mesh,log,dev
PICTURE ?= docs/pictures/inputs/mug.png
BIN = $(VENV)/bin
TESTS = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: quickstart install test test-slow lint options clean

quickstart: install ## install, then turn a picture into a mesh
	$(BIN)/python launch.py predict method=craftsman/small input=$(PICTURE)

install: $(VENV)/installed ## make .venv

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

test: install ## the quick tests, at most 10 minutes on two cores
	$(TESTS) -m 'not slow and not gpu'

test-slow: install ## all tests
	$(TESTS)

lint: install ## style, types, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m framework.config.reference --check

options: install ## write docs/options.md anew
	$(BIN)/python -m framework.config.reference

clean: ## remove .venv and what tools leave behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
