# make demo [ARGS=--once] · make test [ARGS=…] · make check · make help
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest

.PHONY: help venv demo superset check lint types test matrix fuzz docs clean

help: ## these lines
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

$(VENV)/.installed: pyproject.toml
	scripts/make-venv.sh $(VENV) .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml
	scripts/make-venv.sh $(VENV) '.[dev]'
	@touch $@ $(VENV)/.installed

venv: $(VENV)/.installed-dev ## a virtual environment with all that development needs

demo: $(VENV)/.installed ## the whole thing on this machine; ARGS=--once ends after the results
	@$(BIN)/aurora-ml-proxy demo $(ARGS)

superset: venv ## Apache Superset with a chart of sentiment; ARGS=--once ends after its checks
	@$(BIN)/python examples/superset/run.py $(ARGS)

check: lint types test ## what CI runs

lint: venv ## ruff, and whether generated text is up to date
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python docs/generate.py --check

types: venv ## mypy
	$(BIN)/mypy

test: venv ## every test, on private servers; ARGS goes to pytest
	scripts/get-clients.sh && $(PYTEST) $(ARGS)

matrix: venv ## what a run leaves out: every client, session and server there is
	scripts/get-clients.sh && AURORA_MATRIX=docs/matrix.json $(PYTEST) tests/conformance tests/faults -m "matrix or cell" $(ARGS)

fuzz: venv ## the property tests, for longer
	$(PYTEST) --hypothesis-profile=deep -k fuzz $(ARGS)

docs: venv ## the generated parts of the docs and config.example.toml
	$(BIN)/python docs/generate.py

clean: ## remove what make made
	rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
