# make install   the environment only (.venv); every other target does it first
# make demo   one whole PDCA cycle (two, in fact) on this machine; prints the PDFs' paths
# make test   everything that CI runs
# make lab    JupyterLab on the landing notebook
# make cycle PLAN=data/plans/shop.yaml    one cycle of your own plan
# make report CYCLE=data/cycles/shop/01   the PDF of a cycle again (default: the recorded sample)
# make check  ruff, notebook hygiene: seconds, not minutes
# make nightly  what CI has no time for (an hour): coverage of intervals, A/A, capacity search, 100 000 broken logs
# make example   the example reports and the golden pages anew, after a change that readers see
# make lock   compile requirements.lock anew from pyproject.toml
# make help   this text
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PLAN   ?= data/plans/demo.yaml
CYCLE  ?= data/sample

.PHONY: help install demo test lab cycle report check nightly example lock
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# Installed once, and again only when the lock or the project's own metadata change. uv when it is there, else pip.
$(STAMP): requirements.lock pyproject.toml
	@tools/install $(PYTHON) $(VENV)
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/genkai demo

# First what may run side by side, then load that bears company (it waits most of the time), then load that must run alone.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not load"
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m company
	$(BIN)/python -m pytest -m "load and not company"

check: $(STAMP)
	$(BIN)/ruff check lib tests notebooks
	$(BIN)/ruff format --check lib tests notebooks

nightly: $(STAMP)
	$(BIN)/python tests/bench/bench_coverage.py
	$(BIN)/python tests/bench/bench_fit_aa.py
	$(BIN)/python tests/bench/bench_search.py
	$(BIN)/python tests/bench/bench_search_real.py
	GENKAI_FUZZ_EXAMPLES=17000 $(BIN)/python -m pytest -n 2 --dist load --timeout 0 tests/test_collect_fuzz.py

lab: $(STAMP)
	$(BIN)/jupyter lab --config=jupyter_config.py

cycle: $(STAMP)
	$(BIN)/genkai cycle $(PLAN)

report: $(STAMP)
	$(BIN)/genkai report $(CYCLE)

example: $(STAMP)
	tools/example

lock: $(STAMP)
	tools/lock
