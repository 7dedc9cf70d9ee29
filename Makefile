# Everything from a bare machine with make and Python >= 3.11; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Written when the environment is complete, so that it is not made again until a requirement changes.
STAMP := $(VENV)/.complete
LABEL_VENV := .venv-label
LABEL_STAMP := $(LABEL_VENV)/.complete
LINTED := monai_tff tests benchmarks docs

.DEFAULT_GOAL := help
.PHONY: help env demo test coverage parity round-trip docs label-env label-test label-coverage label-sample lint clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

env: $(STAMP) ## Make .venv with the tested versions and the project in it

# torch goes first and alone: pip then takes a CPU build where the machine offers one, instead of the CUDA packages.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; name one: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -e '.[test,dev,docs]' -c constraints.txt
	@touch $@

demo: $(STAMP) ## Train the three phases on a simulated cohort and print the test metrics
	@$(BIN)/python -m monai_tff demo

# One process per core, 8 at most (each holds torch and MONAI); each takes the tests of whole files, so that fixtures
# of a file are made once.
TEST := -m pytest -n logical --maxprocesses 8 --dist loadfile -m "not heavy and not fresh"

test: $(STAMP) ## Run the whole test suite but the heavy tests
	@$(BIN)/python $(TEST)

# Python 3.11 runs about half as fast while lines are counted.
coverage: $(STAMP) ## Run the same tests and check that they reach 90 % of the lines and branches
	@$(BIN)/python $(TEST) --cov=monai_tff

parity: $(STAMP) ## Run the heavy tests: the published numbers at paper size
	@$(BIN)/python -m pytest -m heavy tests/parity

round-trip: $(STAMP) ## Predict with exported bundles and log to MLflow, each in an environment made for it
	@$(BIN)/python -m pytest -m fresh tests/end_to_end

docs: $(STAMP) ## Build the documentation site in docs/_build; a warning is an error
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -j auto -b html docs docs/_build

label-env: $(LABEL_STAMP) ## Make .venv-label: MONAI Label over the packages of .venv

# A path file shows it the packages of .venv, so that both run the same versions and none is installed twice.
# MONAI Label imports pydicom_seg, which does not run with the pydicom of now, and calls it for DICOM only: an empty
# module is in its place. See the head of constraints-label.txt.
PRINT_SITE_PACKAGES := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(LABEL_STAMP): $(STAMP) constraints-label.txt
	$(PYTHON) -m venv --clear $(LABEL_VENV)
	@echo "import site; site.addsitedir('$$($(BIN)/python $(PRINT_SITE_PACKAGES))')" > \
	    "$$($(LABEL_VENV)/bin/python $(PRINT_SITE_PACKAGES))/packages_of_venv.pth"
	$(LABEL_VENV)/bin/python -m pip install --quiet --no-deps -r constraints-label.txt
	@touch "$$($(LABEL_VENV)/bin/python $(PRINT_SITE_PACKAGES))/pydicom_seg.py"
	@touch $@

label-test: $(LABEL_STAMP) ## Run the tests of the server, with MONAI Label and over HTTP
	@$(LABEL_VENV)/bin/python -m pytest tests/apps

label-coverage: $(LABEL_STAMP) ## Run the same tests and check that they reach 90 % of the server's lines and branches
	@$(LABEL_VENV)/bin/python -m pytest tests/apps --cov --cov-config=tests/apps/coverage.toml

# Beside the environment, not in it: transformers fails to import where a torchvision of another build is installed.
label-sample: $(LABEL_STAMP) ## Optional: load bundles in MONAI Label's own app for them, which needs torchvision
	$(LABEL_VENV)/bin/python -m pip install --quiet --no-deps --upgrade --target $(LABEL_VENV)/torchvision torchvision==0.28.0
	@$(LABEL_VENV)/bin/python -m pytest tests/apps/monailabel/test_sample_app.py

lint: $(STAMP) ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/mypy monai_tff
	$(BIN)/lint-imports

clean: ## Remove caches and build folders; .venv and runs stay
	rm -rf build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
