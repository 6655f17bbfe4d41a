# Needs Python 3.11 or later, make and git; everything else goes into .venv.
PYTHON ?= python3
# Tests that run at the same time; many of them mostly wait.
JOBS ?= 3
ARGS ?=

# Hundreds of processes import the package, which is to be compiled once.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPED := .venv/.developed
DOCUMENTED := .venv/.documented
MEASURED := .venv/.measured
LOWEST := .venv-lowest
STYLUA ?= $(or $(wildcard .tools/node_modules/.bin/stylua),stylua)
LUACHECK ?= luacheck

.PHONY: ci venv demo bench soak test test-long test-outages test-servers test-topologies lint lint-python lint-lua format docs wheel-test bounds-test clean

venv: $(DEVELOPED)

# What it takes to use the project, and then to work on it: clients of real services take a minute.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	@touch $@

$(DEVELOPED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[embedded,dev,clients]'
	@touch $@

$(DOCUMENTED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[embedded,docs]'
	@touch $@

# Another breaker, to compare with.
$(MEASURED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[embedded,bench]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/ciris-registry demo $(ARGS)

bench: $(MEASURED)
	$(BIN)/ciris-registry dev bench $(ARGS)

soak: $(INSTALLED)
	$(BIN)/ciris-registry dev soak $(ARGS)

test: $(DEVELOPED)
	$(BIN)/python -m pytest -n $(JOBS) -m "not long_run and not outage_run" $(ARGS)

# What takes minutes: all walks of the model, all its broken copies, the demo in full, the soak.
test-long: $(DEVELOPED)
	$(BIN)/python -m pytest -n $(JOBS) -m long_run $(ARGS)

# The suite on other versions of Redis and Valkey, whose programs come from packages, on a cluster and
# behind sentinels; a table of all. One row: make test-servers ARGS="'Redis 6.2'"
test-servers: $(DEVELOPED)
	$(BIN)/python -m tests.servers.matrix --jobs $(JOBS) $(ARGS)

# The rows that fit into the time of every change: both ways of failing over, on one version.
test-topologies: $(DEVELOPED)
	$(BIN)/python -m tests.servers.matrix --jobs $(JOBS) cluster sentinel

# What a failover, a loss, a slow network and each missing right do, many times over: ten minutes.
test-outages: $(DEVELOPED)
	$(BIN)/python -m pytest -n $(JOBS) -m outage_run $(ARGS)

# All that a change must pass, as the server of the repository runs it.
ci:
	.ci/run

lint: lint-python lint-lua

lint-python: $(DEVELOPED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.rooms.sizes
	$(BIN)/python -m tests.prose.refused_words
	$(BIN)/pyright --pythonpath $(BIN)/python

lint-lua:
	$(LUACHECK) --no-color lua
	$(STYLUA) --check lua

format: $(DEVELOPED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(STYLUA) lua

# Strict: a link to a page, a heading or a name that does not exist ends it. What docstrings lack is
# only logged, so a line of a log ends it too.
docs: $(DOCUMENTED)
	@said=$$($(BIN)/zensical build --clean --strict 2>&1); failed=$$?; \
	printf '%s\n' "$$said" | sed 's/\x1b\[[0-9;]*m//g'; \
	case $$said in *[Ww]arning* | *WARNING* | *ERROR* | *griffe* | *mkdocstrings*) failed=1 ;; esac; \
	exit $$failed

# The wheel as a user gets it: in an environment of its own, away from the checkout.
wheel-test: $(DEVELOPED)
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/python -m hatchling build --target wheel --directory "$$folder"; \
	$(PYTHON) -m venv "$$folder/venv"; \
	wheel=$$(echo "$$folder"/*.whl); \
	"$$folder/venv/bin/python" -m pip install --quiet "$$wheel[embedded]"; \
	cd "$$folder"; \
	venv/bin/ciris-registry lua list; \
	venv/bin/ciris-registry demo

# The suite on the lowest versions that pyproject.toml allows at run time. Clients need later ones.
bounds-test:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) -c 'import re, tomllib; \
	project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	extras = project["optional-dependencies"]; \
	needs = project["dependencies"] + extras["embedded"] + extras["plot"]; \
	print("\n".join(re.sub(r"\[.*?\]", "", n).replace(">=", "==") for n in needs))' \
		> $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt \
		--editable '.[embedded,dev]'
	$(LOWEST)/bin/python -m pytest -n $(JOBS) --ignore tests/test_recipes.py \
		--ignore tests/unit/circuit_breaker/outcomes/test_errors_of_real_clients.py \
		--ignore tests/unit/circuit_breaker/outcomes/test_provider_errors_of_clients.py $(ARGS)

clean:
	rm -rf .venv $(LOWEST) .tools build dist site .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
