# make demo     shows the memory at work; make demo CONVERSATIONS=path imports your own conversations
# make test     runs everything that CI runs
#
# Both make .venv by themselves: with uv where it is there, else with venv and pip. PYTHON=... chooses the Python.

VENV   := .venv
BIN    := $(VENV)/bin
INPUTS := pyproject.toml $(wildcard constraints.txt)
PINS   := $(if $(wildcard constraints.txt),-c constraints.txt)

# The first Python of 3.11 or newer; python3 where there is none, for the message below.
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; exit; }; \
	done; echo python3)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test proofs bench clean
.DELETE_ON_ERROR:

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile
	@echo "make proofs   runs the long proofs; make bench measures; make clean removes what was built, never data"

demo: $(VENV)/.ready-to-run
	@if [ -n "$$CONVERSATIONS" ]; then exec $(BIN)/mira-ltmemory demo --conversations "$$CONVERSATIONS"; \
	else exec $(BIN)/mira-ltmemory demo; fi

test: $(VENV)/.ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Each in a process of its own: what one of them does or how long it takes hides nothing of the others.
proofs: $(VENV)/.ready-to-test
	@trap 'exit 130' INT; failed=; for proof in tests/proofs/*.py; do \
		echo "== $$proof"; $(BIN)/python -m pytest -s "$$proof" || failed="$$failed $$proof"; done; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed"; exit 1; fi

bench: $(VENV)/.ready-to-run
	@if $(BIN)/mira-ltmemory bench --help >/dev/null 2>&1; then exec $(BIN)/mira-ltmemory bench; \
	else echo "There is nothing to measure yet."; fi

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Stamps: a second run installs nothing, unless what is to be installed changed.
$(VENV)/.ready-to-run: $(VENV)/.made $(INPUTS)
	@$(call install,-e .)
	@touch $@

$(VENV)/.ready-to-test: $(VENV)/.made $(INPUTS)
	@$(call install,-e '.[dev]')
	@touch $@ $(VENV)/.ready-to-run

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "mira-ltmemory needs Python 3.11 or newer; here is: $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@if command -v uv >/dev/null && uv venv --quiet --allow-existing --seed --python "$$(command -v $(PYTHON))" $(VENV); \
	then :; else $(PYTHON) -m venv $(VENV) || { \
		echo "Python's venv module does not work; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
	@touch $@

# uv does not read pip's settings, so where it finds no registry pip may.
define install
echo "Installing into $(VENV) (this can take some minutes the first time)"; \
if command -v uv >/dev/null && uv pip install --quiet --python $(BIN)/python $(PINS) $(1); then :; \
else $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) $(1); fi
endef
