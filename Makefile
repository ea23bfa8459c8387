# `make demo` and `make test` need only Python (3.10 or later, as `python3` or PYTHON=…) and make. The first command
# creates the virtual environment .venv; a change of pyproject.toml updates it.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
# One more than there are cores: tests also wait, for servers, timeouts and other processes.
PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PARALLEL ?= -n $(PROCESSES) --dist loadfile
GROUPED ?= -n $(PROCESSES) --dist loadgroup
MARKS ?= not real and not slow
PIP := $(RUN) -m pip --quiet --disable-pip-version-check

# The tests start hundreds of programs, and read 500 files each time: without stored bytecode that takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test unit coverage matrix bench lint types format tables charts docs wheel clean
.SECONDARY:

help:
	@echo "make demo    a small shop with live figures; Ctrl-C ends it, and so does DEMO_SECONDS=20"
	@echo "make test    every test; tests whose real server is missing are skipped"
	@echo "make unit    the tests that need no real server and are not slow, without coverage (ARGS='tests/formats -x')"
	@echo "make coverage  the coverage of the quick tests, at least 95 %"
	@echo "make matrix  the tests of middleware and integrations on old and new frameworks, and a table of them (ARGS='-s oldest')"
	@echo "make bench   the benchmarks, with other libraries in the same run"
	@echo "make lint    ruff and mypy --strict;  make types adds pyright;  make format rewrites the layout"
	@echo "make tables  the table of names in docs/migrating.md, from the installed prometheus_client"
	@echo "make charts  the charts and tables of docs/performance.md, from the results in docs/benchmarks"
	@echo "make docs    the documentation, in build/site"
	@echo "make wheel   dist/*.whl;  make clean removes all generated files"

# Without a shell in between, so that Ctrl-C reaches the demo and make returns the demo's exit status.
demo: $(VENV)/.group-demo
	@$(RUN) -m examples.demo

# Quick tests, slow ones, and those with real servers, each even if another has failed. Real servers come last and by
# themselves: what they start lives until the end of the run, and would count as work of the tests beside it.
test: $(VENV)/.group-test
	status=0; \
	$(RUN) -m pytest $(PARALLEL) -m "not real and not slow" $(ARGS) || status=1; \
	$(RUN) -m pytest $(GROUPED) -m "slow and not real" $(ARGS) || status=1; \
	$(RUN) -m pytest $(GROUPED) -m real $(ARGS) || status=1; \
	exit $$status

# Of the quick tests, and of the programs that they start: the tracer doubles the time.
coverage: $(VENV)/.group-test
	$(RUN) -m pytest $(PARALLEL) -m "not real and not slow" --cov --cov-report=term --cov-fail-under=95 $(ARGS)

unit: $(VENV)/.group-test
	$(RUN) -m pytest $(PARALLEL) -m "$(MARKS)" $(ARGS)

matrix: $(VENV)/.group-matrix
	$(RUN) -m nox $(ARGS)

bench: $(VENV)/.group-bench
	$(RUN) -m benchmarks $(ARGS)

lint: $(VENV)/.group-test $(VENV)/.group-lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy --strict

types: lint
	$(RUN) -m pyright --pythonpath $(RUN)

format: $(VENV)/.group-lint
	$(RUN) -m ruff check --fix --exit-zero .
	$(RUN) -m ruff format .

tables: $(VENV)/.group-test
	$(RUN) -m scripts.compatibility

charts: $(VENV)/.made
	$(RUN) -m scripts.charts

# The second command fails if a page loads a file from another host.
docs: $(VENV)/.group-docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@! grep -rnoE '<(script|link|img|iframe)[^>]+(src|href)="?(https?:)?//[^>]*' build/site --include='*.html'

wheel: $(VENV)/.made
	rm -rf dist
	$(PIP) wheel --no-deps --wheel-dir dist .

clean:
	rm -rf .venv .venvs .nox build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip has dependency groups since 25.1, which is newer than the pip of most Pythons.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit("asyncmetrics needs Python 3.10 or later" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.group-%: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group $*
	@touch $@
