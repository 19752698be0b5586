# Everything runs in .venv, which the first target that needs it makes. `make help` lists the targets.

PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
DATE ?= 2024-12-13
AGAIN ?=
THROUGH ?=
TICKER ?=
KNOWN_AT ?=
FROM ?=
TO ?=
PORT ?= 8080
SEED ?= 1
RECORD ?=
export PYTHONPATH := $(CURDIR):$(CURDIR)/plugins

.PHONY: help setup demo backfill constituents bench-backfill rebuild explain facts test test-slow faults lint ui up down bench sandbox-reset lock format docs docs-reference session-table validation-table share-chart readme-table document-schema
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

setup: $(VENV)/installed ## make .venv with the locked packages

# uv takes PYTHON, or the first Python here that pyproject.toml allows, or brings one.
$(VENV)/installed: requirements.txt requirements-sandbox.txt requirements-dev.txt constraints.txt | $(UV)
	@$(UV) venv --quiet --allow-existing $(if $(PYTHON),--python "$(PYTHON)") $(VENV) || { echo "make: uv found and brought no Python that pyproject.toml allows: install Python 3.11, 3.12 or 3.13, or name one with PYTHON=/path/to/python3"; exit 1; }
	@# Compiled now: with PYTHONDONTWRITEBYTECODE, as in containers, every start of Airflow would compile it again.
	$(UV) pip install --quiet --compile-bytecode --python $(RUN) -r requirements-dev.txt -c constraints.txt
	@touch $@

.uv/bin/uv: # any Python 3 can install it
	@"$(or $(PYTHON),python3)" -m venv .uv || { rm -rf .uv; echo "make: neither uv nor a Python 3 with venv is here: install uv, or on Debian python3-venv"; exit 1; }
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv -c constraints.txt

demo: setup ## one session through the daily DAG on the local sandbox (DATE=day or latest, AGAIN=1 asks again, TICKER= explains)
	@$(RUN) -m sandbox.demo --date "$(DATE)" $(if $(filter-out 0,$(AGAIN)),--again) $(if $(TICKER),--explain "$(TICKER)")

backfill: setup ## a range of sessions through the backfill DAG on the local sandbox (FROM=2022-03-01 TO=2022-03-31)
	@test -n "$(FROM)" -a -n "$(TO)" || { echo "backfill: name a range, such as make backfill FROM=2022-03-01 TO=2022-03-31"; exit 2; }
	@$(RUN) -m sandbox.backfill --from "$(FROM)" --to "$(TO)" $(if $(filter-out 0,$(AGAIN)),--repeat)

constituents: setup ## one run of mag7_constituents on the local sandbox: what files prove about the index (DATE=day or latest)
	@$(RUN) -m sandbox.constituents --date "$(DATE)"

rebuild: setup ## published sessions again from stored responses, no calls (DATE=first THROUGH=last), after a fact table changed
	@$(RUN) -m sandbox.demo --date "$(DATE)" --rebuild $(if $(THROUGH),--through "$(THROUGH)")

explain: setup ## how a figure came about (TICKER=NVDA DATE=2024-06-07), also while make ui runs
	@test -n "$(TICKER)" || { echo "explain: name a line, such as make explain TICKER=NVDA DATE=2024-06-07"; exit 2; }
	@$(RUN) -m sandbox.explain "$(TICKER)" "$(DATE)"

facts: setup ## what is known of the index: version, since when, confirmed through, sources, what is due (KNOWN_AT=moment)
	@$(RUN) -m sandbox.explain --facts $(if $(KNOWN_AT),--known-at "$(KNOWN_AT)")

test: setup ## all tests but the slow ones, in a process for each core, at most 4
	$(RUN) -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder tests

test-slow: setup ## the slow tests
	$(RUN) -m pytest -m slow tests

faults: setup ## both DAGs under faults and kills (SEED=1); figures also go to .sandbox/faults.json
	@$(RUN) -m tools.faults --seed "$(SEED)" $(if $(filter-out 0,$(RECORD)),--record)

lint: setup ## ruff, mypy, sqlfluff, bandit, a search for keys and passwords, and the links of the documentation
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/sqlfluff lint include/sql
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --recursive plugins dags include
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive sandbox bench tools
	.ci/scan-secrets
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

docs: setup ## build the documentation into .site, without network; fails on a broken link
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

docs-reference: setup ## write the generated parts of the documentation, from code and docs/figures.json
	@$(RUN) -m tools.docs.reference

session-table: setup ## write the table of the sessions on which the seven split, from the offline market
	@$(RUN) -m tools.docs.session_table

validation-table: setup ## write the table that compares every session with the offline market's truth, some ten minutes
	@$(RUN) -m tools.docs.validation_table

share-chart: setup ## work out the share at each month end and draw the README's chart
	@$(RUN) -m tools.docs.share_chart

readme-table:
	@echo "make readme-table is now make session-table"; exit 2

document-schema: setup ## write the JSON Schema of market_data.json, from which the Glue jobs make their Spark schema
	@$(RUN) -m tools.document_schema

format: setup ## let ruff and sqlfluff fix what they can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/sqlfluff fix include/sql

ui: setup ## Airflow's web page on the local sandbox, without Docker (PORT=8080); ctrl-C ends it
	@$(RUN) -m sandbox.ui --port "$(PORT)"

up: ## the same with Docker, built and healthy when it returns
	@"$(or $(PYTHON),python3)" -m sandbox.docker_check
	docker compose up --build --detach --wait || { docker compose logs --no-log-prefix --tail 3 airflow-init; exit 1; }

down: ## end what `make up` started; its data stays (docker compose down --volumes forgets it)
	docker compose down

bench: setup ## the benchmarks; figures also go to .sandbox/bench.json, with RECORD=1 to docs/figures.json, too
	@$(RUN) -m bench $(if $(filter-out 0,$(RECORD)),--record)

bench-backfill: setup ## what collecting four years costs, about half an hour; figures also go to .sandbox/bench-backfill.json
	@$(RUN) -m bench.backfill $(if $(filter-out 0,$(RECORD)),--record)

sandbox-reset: ## forget everything that the local sandbox holds
	rm -rf .sandbox

lock: setup ## resolve the requirements into constraints.txt, for every Python and system at once
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 requirements-dev.txt --output-file constraints.txt
