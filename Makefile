# Two commands: `make up` runs TekNav, `make test` proves it. Both need Python 3.11 or later and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup up test lint assets lock crawl faults faults-short fuzz browser interop bench bench-cache clean

setup: .venv/.installed assets  ## what Python loads is compiled here, not by the first processes that load it, all at once
	@$(BIN)/python -m compileall -q app alembic

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

assets: .venv/.installed
	@$(BIN)/python -m app.static.build

up: setup
	@$(BIN)/teknav up

browser: .venv/.installed
	@$(BIN)/python -m tests.browser.fetch

interop: .venv/.installed
	@$(BIN)/python -m tests.queues.interop.fetch

test: setup browser interop  ## in two processes, each with servers of its own: much of the time is waiting
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

crawl: setup browser  ## every link, page and button of the dashboard; `make test` follows a story alone
	$(BIN)/pytest -m crawl tests/browser

faults: setup  ## an hour or so, on a machine that has nothing else to do
	@$(BIN)/python -m tests.faults
	@$(BIN)/pytest -m faults tests/redis

faults-short: setup  ## every fault once, four minutes
	@$(BIN)/python -m tests.faults --short

.fuzz/.installed: requirements/fuzz.txt
	$(PYTHON) -m venv .fuzz
	.fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: setup .fuzz/.installed  ## schemathesis over the whole API, about three minutes
	@$(BIN)/python -m tests.fuzz

bench: setup  ## beside other libraries; `make bench ARGS=--quick` takes a minute
	@$(BIN)/python bench/queues.py $(ARGS)

bench-cache: setup  ## the cache beside other libraries, and a cached list beside /health
	@$(BIN)/python bench/cache.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint app/templates --lint --quiet

lock: .venv/.installed  ## after a change of dependencies in pyproject.toml; needs uv
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade -o requirements/run.txt
	uv pip compile pyproject.toml --extra embedded --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --group fuzz --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header -o requirements/fuzz.txt
	for peer in bullmq_python saq arq taskiq aiocache cashews; do uv pip compile --group bench-$$peer --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements/bench-$$peer.txt || exit 1; done

clean:
	rm -rf .venv .bench .fuzz node_modules bench/peers/node/node_modules tests/queues/interop/node_modules app/static/dist
