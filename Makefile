# make lab: work through the notebooks.  make test: prove that all of it holds.  make site: the notebooks as pages.
PYTHON ?= python3
LAB_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# threads that wait sleep, as snn_helpers sets it where it is imported before torch; a kernel imports torch first
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: lab test notebooks site bench gpu lint clean

lab: $(VENV)/installed
	$(BIN)/python tools/start_lab.py $(LAB_OPTIONS) notebooks/00_start_here.ipynb

# two at a time: many tests use one core
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

notebooks: $(VENV)/installed
	$(BIN)/python tools/build_notebooks.py

# the notebooks as pages, with two explorers that need no kernel; offline, from what is committed
site: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html

# this package beside snnTorch, SpikingJelly and Norse, alone and on a busy machine, into benchmarks/results and
# the README; half an hour
bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/busy.py
	$(BIN)/python benchmarks/step_memory.py
	$(BIN)/python benchmarks/time_to_accuracy.py

# where there is an NVIDIA GPU: the tests that need one, then this package beside the others on it
gpu: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m pytest tests/test_triton.py tests/test_encoding.py
	$(BIN)/python benchmarks/gpu.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV)

# installed anew only when the list of dependencies, or the tested versions, change
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes, once."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
