# Everything runs in .venv, made from pyproject.toml by whichever target comes first.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test soak lint format bench docs dist clean
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

# The pages that are made from the program, then the site, in build/site/index.html.
docs: $(STAMP)
	$(BIN)/python -m tools.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Wheel, sdist, and what is in an environment that has the wheel (CycloneDX).
dist: $(STAMP)
	rm -rf dist build/dist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/pip install --quiet dist/*.whl
	$(BIN)/cyclonedx-py environment build/dist --output-reproducible --of JSON -o dist/sbom.cdx.json

clean:
	rm -rf .venv .demo build dist *.egg-info
