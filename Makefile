# Each target sets up its own virtual environment in .venv on first use; the second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test verify lint types layers duplicates docs examples wheel ci clean

demo: $(VENV)/.lowland
	$(BIN)/lowland run drive --preset demo
	@echo "The page: $(CURDIR)/runs/drive/latest/report.html"
	@echo "The film: $(CURDIR)/runs/drive/latest/figures/drive.mp4"

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n 2 --dist worksteal --durations 15

verify: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/lowland verify ellipse lqr one-one-one likelihood-canyon --runs build/verify

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(VENV)/.dev
	$(BIN)/lint-imports

duplicates: $(VENV)/.dev
	$(BIN)/pylint --recursive=y $(wildcard src tests benchmarks examples)

docs: $(VENV)/.dev
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

examples: $(VENV)/.dev
	@set -e; for script in examples/*.py; do \
	    test -e "$$script" || continue; \
	    echo "$$script"; \
	    OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -W error::UserWarning -W error::RuntimeWarning "$$script"; \
	done

wheel: $(VENV)/.dev
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(BIN)/python .ci/check_wheel.py build/wheel

ci:
	bash .ci/run

clean:
	rm -rf $(VENV) build dist site

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Lowland needs Python 3.10 or newer, and '$(PYTHON)' is not that; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "'$(PYTHON)' lacks the venv module: install it (on Debian: apt install python3-venv) or name another Python: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.lowland: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Lowland into $(VENV) (a few minutes the first time)"
	$(INSTALL) '.[fast]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Lowland and its development tools into $(VENV) (a few minutes the first time)"
	$(INSTALL) '.[dev]'
	@touch $(VENV)/.lowland $@
