# Each target makes what it needs, the environment included, given Python >= 3.11, pip and make.

PYTHON ?= python3
VENV := .venv
EXTRAS ?= dev
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
HOST := saved_models/mnist/model.keras
WEB := export/web

# uv is several times faster than pip, but does not read pip's settings, such as a private index.
INSTALL = $(RUN) -m uv pip install --quiet --compile-bytecode --editable '.[$(EXTRAS)]' || $(RUN) -m pip install --quiet --editable '.[$(EXTRAS)]'

# `make` alone sets up .venv.
.PHONY: help reproduce models test test-all test-bounds coverage versions fuzz web-packages figures claims bench docs notebooks exports cards wheel site serve lint clean

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"tfnca needs Python 3.11 to 3.13; this is {v.major}.{v.minor}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip 'uv>=0.8'
	$(INSTALL)
	touch $@

help:  ## what there is to make
	@echo "make: the environment .venv, which takes a minute. Then, or at once, for each makes what it needs:"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

reproduce: $(READY)  ## train the MNIST takeover, measure it, draw it, export it
	$(RUN) train/mnist_adversary.py --steps 2600 --drops 0.85 --ema 0.99 --new-digits 1 --swapped-digits 1 --recovery-items 2 --test-digits 600 --out out/reproduce
	$(RUN) export/saved_model.py out/reproduce/model.keras --host $(HOST) --out out/reproduce/saved_model
	$(RUN) export/tfjs.py out/reproduce/model.keras --host $(HOST) --out out/reproduce/tfjs
	$(RUN) -m tfnca.article.report out/reproduce

# ONLY="name name": these alone. MNIST=folder: with its four files, which all of them need.
# JOBS=2: two at once.
models: $(READY)  ## the models that ship, each by one command, into out/models: hours
	$(RUN) train/models.py $(if $(ONLY),--only $(ONLY)) $(if $(MNIST),--data-dir $(MNIST)) $(if $(JOBS),--jobs $(JOBS))

# Each worker takes a file at a time, those that take longest first (tests/conftest.py).
PYTEST := -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# What needs Node is skipped where there is none; the closing lines then say how to have it run.
test: $(READY) $(if $(shell command -v npm),web-packages)  ## the test suite without the slow tests
	$(RUN) $(PYTEST) -m "not slow"

test-all: $(READY) $(if $(shell command -v npm),web-packages)  ## every test
	$(RUN) $(PYTEST)

# The cache of compiled code does not know of NUMBA_BOUNDSCHECK, so this has one of its own.
test-bounds: $(READY)  ## the engines' tests, every index of compiled code checked
	mkdir -p out
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/out/bounds-cache $(RUN) $(PYTEST) tests/engines tests/test_conformance.py tests/training

# The kernels' lines are counted in a run of their own, as plain Python, on the smallest grids.
COVERED := --cov --cov-append --cov-report=
coverage: $(READY)  ## the share of tfnca's lines that the suite runs
	$(VENV)/bin/python -m pip install --quiet 'pytest-cov>=7'
	rm -f .coverage*
	$(RUN) $(PYTEST) $(COVERED)
	NUMBA_DISABLE_JIT=1 $(RUN) -m pytest -q -n 2 -W ignore::RuntimeWarning $(COVERED) tests/engines/test_sparse.py -k "not long_runs"
	$(VENV)/bin/python -m coverage report --skip-covered --sort=cover

versions: $(READY)  ## the suite on the oldest and the newest versions allowed
	$(RUN) tests/versions.py

SECONDS ?= 60

fuzz: $(READY)  ## damaged files for every reader, for SECONDS; GUIDED=1: those that find new branches
ifdef GUIDED
	$(VENV)/bin/python -m pip install --quiet --editable '.[fuzz]'
	$(RUN) tests/fuzz/guided.py --seconds $(SECONDS)
else
	$(RUN) tests/fuzz/run.py --cases 100000000 --seconds $(SECONDS)
endif

web-packages:
	@$(MAKE) --no-print-directory $(WEB)/node_modules/.package-lock.json || echo "npm ci failed: tests in Node and in the browser are skipped."

figures: $(READY)  ## the article's figures, drawn anew
	$(RUN) -m tfnca.article.figures --out out/figures

claims: $(READY)  ## the article's claims as numbers: docs/claims.md
	$(RUN) -m tfnca.article.claims

bench: $(READY)  ## side-by-side speed
	$(VENV)/bin/python -m pip install --quiet --editable '.[bench]'
	$(RUN) benchmarks/bench.py --out out/bench

docs: $(READY)  ## the documentation with the API reference, as a site: out/docs/index.html
	$(VENV)/bin/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict

notebooks: $(READY)  ## the notebooks run anew, what they show stored in them
	$(VENV)/bin/python -m pip install --quiet --editable '.[docs]'
	$(RUN) docs/run_notebooks.py

exports: $(READY)  ## SavedModel and TF.js beside each trained model, where its weights changed
	$(RUN) export/shipped.py

cards: $(READY)  ## the model cards, and the numbers that documents quote
	$(RUN) export/cards.py
	$(VENV)/bin/python docs/quotes.py

wheel: $(READY)  ## the package with its models, to install elsewhere: out/dist/
	rm -rf build
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir out/dist .
	rm -rf build

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund

site: $(READY) $(WEB)/node_modules/.package-lock.json  ## the playgrounds, built anew: tfnca/site/ (needs Node)
	$(RUN) $(WEB)/build.py

# -I, or Python would take the package's own types.py for the standard library's.
serve:  ## the playgrounds in the browser; needs Python alone
	$(PYTHON) -I tfnca/play.py

lint: $(READY)  ## ruff, mypy, and the words of the documents
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python tests/words.py

clean:
	rm -rf out $(VENV) $(WEB)/node_modules
