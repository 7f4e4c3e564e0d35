# make help says what there is. Everything works on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
# Else each build tells that mkdocs-material ends in 2027: docs/architecture.md says it once.
export NO_MKDOCS_2_WARNING := 1
DEMO := --data simulated --trials 6 --max-epochs 20 --finalists 1 --seeds 3

.DEFAULT_GOAL := help
.PHONY: help install demo test check docs test-lowest test-latest cluster-test cluster-submit faults bench bench-bucket clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/installed ## set up .venv with what the project and its checks need

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install ## two small studies on simulated data, compared: univariate against multivariate
	@rm -rf runs/demo runs/demo-univariate runs/demo-multivariate
	$(BIN)/python -m tuning.compare --space univariate.yaml --space multivariate.yaml --name demo $(DEMO)
	@echo 'See every trial:  $(BIN)/tensorboard --logdir runs'

test: install ## the tests, on two cores: MARK='browser or slow' for the longer ones
	$(BIN)/python -m pytest -n 2 --dist loadgroup --durations 12 $(if $(MARK),-m '($(MARK)) and not nightly')

check: install ## lint, format, types, and the documents' links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mkdocs build --strict --quiet

docs: install ## the documents as a site, on http://127.0.0.1:8000
	$(BIN)/mkdocs serve

test-lowest: ## studies and tests with the oldest libraries that pyproject.toml allows: PYTHON=python3.12
	$(PYTHON) -m tests.versions.environment lowest $(ARGS)

test-latest: ## the same with the newest libraries there are, but for torch: ARGS=--short leaves the tests out
	$(PYTHON) -m tests.versions.environment latest $(ARGS)

cluster-test: install ## a cluster of hosts of its own, of which some are lost: root, some minutes
	$(BIN)/python -m pytest -m cluster

cluster-submit: ## a study as a job of the cluster that `ray dashboard` leads to: STORAGE=s3://... NAME=air ARGS='--space ...'
	@test -n "$(STORAGE)" || { echo 'STORAGE is missing: make cluster-submit STORAGE=s3://bucket/studies' >&2; exit 2; }
	RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 $(BIN)/ray job submit --address http://127.0.0.1:8265 \
		--working-dir . -- python -m tuning.run --storage $(STORAGE) $(or $(ARGS),--space multivariate.yaml) \
		$(if $(NAME),--name $(NAME) --or-resume)

faults: install ## studies that are killed and damaged at random moments, at most 15 minutes
	$(BIN)/python -m tests.faults.campaign

bench: install ## how long a good model takes, what tuning costs on top, whether the search pays: 20 minutes
	$(BIN)/python -m benchmarks.trial_limit
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.time_to_quality

bench-bucket: install ## what a bucket of 20 ms a request costs a study, beside a disk: some minutes
	$(BIN)/python -m benchmarks.bucket

clean: ## remove virtual environments and caches; studies in runs/ stay
	rm -rf .venv .venv-lowest .venv-latest build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
