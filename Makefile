# Everything a developer or a newcomer runs. `make` alone lists it.

PYTHON  ?=
VENV    ?= .venv
TARGET  ?= native
PORTS   ?= veth
JOBS    ?= 2
COMPILER ?= auto
PYTEST_ARGS ?=

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: fuzz mutate help setup demo build-p4 test unit lint format types imports ptf golden shell zig bench clean

help:  ## List what there is
	@echo "make TARGET..., where a target is one of:"
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "%-12s %s\n", $$1, $$2 }'
	@echo "Variables: TARGET=native|bmv2|small  PORTS=veth|socket  COMPILER=auto|kulvert|p4c  PYTHON=/path/to/python3.11+"

# The environment: once to run Kulvert, once more to test it. Both stamps follow pyproject.toml.
$(VENV)/.ready-run: pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" run

$(VENV)/.ready-test: pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" test

setup: $(VENV)/.ready-test  ## Create the environment with all that tests and linters need

demo: $(VENV)/.ready-run  ## The whole system on this machine, under real traffic, checked; about a minute
	@$(BIN)/kulvert lab demo --target $(TARGET) --compiler $(COMPILER)

build-p4: $(VENV)/.ready-run  ## Build the P4 pipeline: TARGET=native|bmv2|small, into build/TARGET/
	@$(BIN)/kulvert build --target $(TARGET) --compiler $(COMPILER)

test: $(VENV)/.ready-test  ## Everything that can be checked: linters, types, imports, PTF on the switches there are, unit tests
	@PATH="$(abspath $(BIN)):$$PATH" sh tools/test.sh $(PYTEST_ARGS)

unit: $(VENV)/.ready-test  ## The Python tests alone: PYTEST_ARGS="-k policy"
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.ready-test  ## ruff, formatting, and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

format: $(VENV)/.ready-test  ## Put the sources into ruff's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.ready-test  ## mypy, strict
	@$(BIN)/mypy

imports: $(VENV)/.ready-test  ## The direction of imports alone
	@$(BIN)/lint-imports

ptf: $(VENV)/.ready-test  ## The pipeline's packet tests: TARGET=native|bmv2 COMPILER=auto|kulvert|p4c PORTS=veth|socket
	@$(BIN)/python -m ptf_tests.run --target $(TARGET) --compiler $(COMPILER) --ports $(PORTS)

mutate: $(VENV)/.ready-test  ## Break each row of the contract and see that a test notices; a quarter of an hour: JOBS=2
	@$(BIN)/python -m ptf_tests.mutate --jobs $(JOBS)

golden: $(VENV)/.ready-test  ## Write the golden files anew; review their diff as code
	@$(BIN)/python -m pytest --update-goldens $(PYTEST_ARGS)
	@git --no-pager diff --stat -- tests

shell: $(VENV)/.ready-test  ## Make p4runtime-shell's environment if it is not there, and try it on the switch
	@KULVERT_TEST_SHELL=make $(BIN)/python -m pytest tests/p4switch/test_shell.py

zig: $(VENV)/.ready-test  ## Bring the ziglang package if it is not there, and compile and run the switch with it
	@KULVERT_TEST_ZIG=make $(BIN)/python -m pytest tests/p4switch/test_ziglang.py

fuzz: $(VENV)/.ready-test  ## A million mutated packets through several programs, under the address and undefined sanitizers
	@KULVERT_FUZZ_FRAMES=1000000 $(BIN)/python -m pytest tests/p4switch/test_native_compiler.py -k mutated

bench: $(VENV)/.ready-test  ## Measure beside p4c and BMv2, where they are on the PATH, into bench/RESULTS.md
	@$(BIN)/python -m bench.run

clean:  ## Remove what was built and the caches; the environment stays (rm -r .venv)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache ptf.log ptf.pcap
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
