# Everything below needs only Python 3.11 or newer and make.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' >/dev/null 2>&1 && echo yes),$(p))))
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps

.PHONY: install run plots test check fmt bench docs lock clean

install: .venv/.run          ## .venv with what the proxy and its local model need

run: install                 ## the proxy on 127.0.0.1:8300, with a real model behind it
	@exec $(BIN)/setpoint serve

plots: .venv/.plots          ## what `setpoint classify --eval FILE --plots FOLDER` draws with

test: .venv/.dev             ## all tests
	$(BIN)/pytest

check: .venv/.dev            ## style, types, import contracts, shipped policies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/setpoint check policies/library

fmt: .venv/.dev              ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev            ## every published number
	$(BIN)/python -m bench

docs: .venv/.dev             ## docs/reference and the policy schema, from the tables
	$(BIN)/python -m docs.generate

lock: .venv/.dev             ## new pins, with hashes, for 3.11 to 3.13
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml --extra local -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml --extra local --extra dev -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 requirements/plots.in -c requirements/dev.txt -o requirements/plots.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 bench/litellm-requirements.in -o bench/litellm-requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 bench/tensorzero-requirements.in -o bench/tensorzero-requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 bench/granian-requirements.in -o bench/granian-requirements.txt

# The project itself is installed editable, with a build back end that is pinned too: nothing is fetched unhashed.
.venv/.run: requirements/run.txt requirements/build.txt
	@test -n "$(PYTHON)" || { echo "Setpoint needs Python 3.11, 3.12 or 3.13; none found. Set PYTHON=/path/to/python3."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (hashed pins; about a minute on a first run) ..."
	@$(PIP) -r requirements/build.txt
	@$(PIP) -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@echo "Installing the development tools ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@

.venv/.plots: .venv/.run requirements/plots.txt
	@echo "Installing what plots are drawn with ..."
	@$(PIP) -r requirements/plots.txt
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
