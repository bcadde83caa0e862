# Everything runs in an environment of its own, .venv; it is made anew when setup.cfg changes.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

# Without compiled files each of the many processes of a test would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types bench docs clean

.venv/ready: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "feedkit needs Python 3.11 or newer; name one: make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/ready
	@PORT=$(PORT) $(BIN)/python -m feedkit.demo.serve

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/match.py
	$(BIN)/python bench/ranking.py
	$(BIN)/python bench/serve.py

docs: .venv/ready
	$(BIN)/python -m feedkit.reference
	$(BIN)/python -m feedkit.cli.docs

clean:
	rm -rf .venv .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
