# Two commands: `make app` and `make test`. Both install what they need into .venv; both can be repeated.
PORT ?= 8501
PYTHON ?= python3
BIN := .venv/bin
# One OpenMP thread that sleeps when idle: two spinning ones starve the page beside the worker.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
export GOMP_SPINCOUNT ?= 0
export MALLOC_ARENA_MAX ?= 2
export TOKENIZERS_PARALLELISM ?= false

.PHONY: app test lint types unit e2e browser install clean

app: install
	$(BIN)/streamlit run Home.py --server.port $(PORT)

test: install browser lint types unit e2e

install: .venv/installed

.venv/installed: requirements.txt requirements-audiocraft.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv/audiocraft -r requirements-audiocraft.txt
	touch $@

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	     && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	|| { echo "The browser tests need Chromium: install it (Debian: sudo apt-get install chromium) and run again."; exit 1; }

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

unit: install
	$(BIN)/python -m pytest tests/unit tests/app

e2e: install browser
	$(BIN)/python -m pytest tests/e2e --reruns 2

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
