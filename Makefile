# Everything runs in .venv, made from pyproject.toml by whichever target comes first.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test soak lint format bench clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python -m tools.demo $(if $(DEMO_EXIT),--exit)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint
	$(BIN)/pytest -n $(JOBS) --dist worksteal

soak: lint
	BLOBSTORE_SOAK=1 $(BIN)/pytest --timeout=7200

bench: $(STAMP)
	$(BIN)/blobstore bench --out docs/benchmarks

clean:
	rm -rf .venv .demo build dist *.egg-info
