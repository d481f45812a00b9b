# The first target that needs it sets .venv up; it is set up again when pyproject.toml or
# constraints.txt change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UNFINISHED := $(VENV).unfinished

.DEFAULT_GOAL := help
.PHONY: help demo test bench

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
	@echo "PYTHON=python3.12 chooses the interpreter of a new $(VENV); Python 3.10 to 3.13."

demo: $(READY) ## measure, predict, search and measure again, in a few minutes
	$(BIN)/latbench demo $(DEMO)

test: $(READY) ## lint, type check and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; \
	then echo "$(BIN)/mypy"; $(BIN)/mypy; \
	else echo "mypy left out: the stubs that Python 3.10 gets are not those of 3.11"; fi
	$(BIN)/python -Im pytest --numprocesses 2 --dist loadfile

bench: $(READY) ## measure latbench itself, and write benchmarks/README.md
	$(BIN)/python -m benchmarks.run

# A set-up that was interrupted, or failed, may have left half a package behind, which pip takes
# for a whole one. So the mark is made first and removed last, and who finds it starts afresh.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	echo "latbench needs Python 3.10 or newer, '$(PYTHON)' is not; choose one:" \
	"make PYTHON=python3.12" >&2; exit 1; }
	@if [ -e $(UNFINISHED) ]; then rm -rf $(VENV); fi
	@touch $(UNFINISHED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev,cluster,postgresql,tensorboard]'
	@touch $@
	@rm -f $(UNFINISHED)
