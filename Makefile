# Each target does its own set-up: Python 3.11 or newer and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: help demo test lint format benchmark docs wheel clean distclean

help:
	@echo "make demo    estimate a real SDSS galaxy; writes demo/"
	@echo "make test    run the whole test suite (PYTEST_ARGS='-m \"not slow\"' for the quick part)"
	@echo "make lint    ruff, mypy and the import contracts"
	@echo "make format  let ruff rewrite the code"
	@echo "make benchmark  compare network and emcee on a few mocks; writes results/ and results/report.html (10 minutes)"
	@echo "make docs    build the documentation, warnings as errors; see docs/_build/html/index.html"
	@echo "make wheel   build dist/*.whl"
	@echo "make clean   remove what was built (distclean: $(VENV) too)"
	@echo "Another Python: make PYTHON=python3.12 demo"

demo: $(VENV)/.installed-base
	$(BIN)/galfit-ml demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.installed-benchmark
	$(BIN)/galfit-ml benchmark run moons-snr --backends cnn,emcee --n 12 --option emcee.workers=2 --option emcee.n_effective=200 --out results
	$(BIN)/galfit-ml benchmark run moonrise latent sdss-snr --backends cnn --n 300 --out results
	$(BIN)/galfit-ml benchmark report results --out results/report.html --figures results/figures

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

wheel: $(VENV)/.created
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf build dist demo docs/_build docs/jupyter_execute .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "galfit_ml needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install a newer Python and name it, for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The stamps make set-up run once, and again when the dependencies change. torch is resolved in the same command as
# everything else, so that the pinned version is the only one that is ever downloaded.
$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.created
	$(PIP_INSTALL) torch -e ".$(patsubst %,[%],$(filter-out base,$*))"
	@touch $@
